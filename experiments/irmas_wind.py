"""IRMAS Wind: clarinet, flute, saxophone and trumpet of IRMAS"""

answers = "thesis 5.4"
published = {"s1 micro": 0.684, "s1 macro": 0.598, "mean accuracy": 0.7426}
confusion = True

dataset = 7
model = "model_leaky"
optimizer = "adam"
