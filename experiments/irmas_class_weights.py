"""IRMAS, classes weighted by their number of patches"""

answers = "documentation 3.2"
baseline = "irmas_leaky"

dataset = 1
model = "model_leaky"
optimizer = "adam"
name = "class_weights"
class_weight = "y"
