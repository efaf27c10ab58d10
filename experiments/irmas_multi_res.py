"""IRMAS, spectrograms of three resolutions"""

answers = "thesis 5.6.3"
baseline = "irmas_leaky"
published_change = (-4, -3)

dataset = 0
model = "model_multi_res"
optimizer = "adam"
