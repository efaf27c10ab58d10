"""IRMAS, classes weighted by their number of patches

Rendered labels have equally many clips: all weights are 1, and nothing changes.
"""

answers = "documentation 3.2"
baseline = "irmas_leaky"

dataset = 1
model = "model_leaky"
optimizer = "adam"
name = "class_weights"
class_weight = "y"
