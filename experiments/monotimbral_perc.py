"""Monotimbral, percussive part"""

answers = "thesis 5.6.1"
baseline = "monotimbral_leaky"
published = {"mean accuracy": 0.5041}
confusion = True

dataset = 5
model = "model_leaky"
optimizer = "adam"
