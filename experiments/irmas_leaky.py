"""IRMAS with leaky ReLU: what the changes to the system are compared with

The published accuracy is the thesis', from halves of the training data; Han et al. have 0.6318.
"""

answers = "thesis 5.4"
published = {"mean accuracy": 0.6816}
published_classwise_change = (2, 4)
confusion = True

dataset = 1
model = "model_leaky"
optimizer = "adam"
