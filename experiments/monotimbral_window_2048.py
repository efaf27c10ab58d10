"""Monotimbral with an STFT window of 2048 samples"""

answers = "thesis 5.5.1"
baseline = "monotimbral_leaky"
published_change = (-3, -1)

dataset = 2
model = "model_leaky"
optimizer = "adam"
stft_window = 2048
