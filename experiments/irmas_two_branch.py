"""IRMAS, harmonic and percussive part in two branches"""

answers = "thesis 5.6.2"
baseline = "irmas_leaky"
published_change = (-2, -1)

dataset = 8
model = "model_two_branch"
optimizer = "adam"
