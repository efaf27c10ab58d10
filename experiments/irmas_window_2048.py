"""IRMAS with an STFT window of 2048 samples"""

answers = "thesis 5.5.1"
baseline = "irmas_leaky"
published_change = (1, 2)

dataset = 1
model = "model_leaky"
optimizer = "adam"
stft_window = 2048
