"""IRMAS, the validation split plainly random, not balanced over the labels

Only the split into training and validation: the halves of the test data are the balanced ones.
"""

answers = "thesis 5.2"
baseline = "irmas_leaky"

dataset = 1
model = "model_leaky"
optimizer = "adam"
name = "random_split"
balanced = False
