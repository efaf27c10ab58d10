"""Monotimbral, harmonic part"""

answers = "thesis 5.6.1"
baseline = "monotimbral_leaky"
published = {"mean accuracy": 0.3833}
confusion = True

dataset = 4
model = "model_leaky"
optimizer = "adam"
