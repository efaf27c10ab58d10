"""IRMAS, standardised by mean and deviation over the training patches"""

answers = "thesis 5.5.2"
baseline = "irmas_leaky"
published_change = (3, 3)

dataset = 1
model = "model_leaky"
optimizer = "adam"
name = "standardised"
standardise = True
