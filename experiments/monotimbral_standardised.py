"""Monotimbral, standardised by mean and deviation over the training patches"""

answers = "thesis 5.5.2"
baseline = "monotimbral_leaky"
published_change = (-9, -8)

dataset = 2
model = "model_leaky"
optimizer = "adam"
name = "standardised"
standardise = True
