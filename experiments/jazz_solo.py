"""Jazz, the solo separated from its accompaniment, from scratch"""

answers = "thesis 5.4"
baseline = "jazz"
published = {"s1 micro": 0.805, "s1 macro": 0.803, "mean accuracy": 0.5443}
confusion = True

dataset = -2
model = "model_leaky"
optimizer = "adam"
