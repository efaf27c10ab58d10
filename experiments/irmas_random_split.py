"""IRMAS, halves and validation at random, not balanced over the labels"""

answers = "thesis 5.2"
baseline = "irmas_leaky"

dataset = 1
model = "model_leaky"
optimizer = "adam"
name = "random_split"
balanced = False
