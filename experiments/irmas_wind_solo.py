"""IRMAS Wind, the solo separated from its accompaniment"""

answers = "thesis 5.4"
baseline = "irmas_wind"
published = {"s1 micro": 0.713, "s1 macro": 0.636, "mean accuracy": 0.6964}
confusion = True

dataset = 6
model = "model_leaky"
optimizer = "adam"
