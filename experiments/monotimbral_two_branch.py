"""Monotimbral, harmonic and percussive part in two branches"""

answers = "thesis 5.6.2"
baseline = "monotimbral_leaky"
published_change = (-7, -6)

dataset = 9
model = "model_two_branch"
optimizer = "adam"
