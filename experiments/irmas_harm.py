"""IRMAS, harmonic part"""

answers = "thesis 5.6.1"
baseline = "irmas_leaky"
published_change = (1, 3)
published_classwise_change = (4, 4)

dataset = 3
model = "model_leaky"
optimizer = "adam"
