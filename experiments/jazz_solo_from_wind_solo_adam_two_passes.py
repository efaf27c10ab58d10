"""IRMAS Wind Solo to Jazz Solo: two passes, sigmoid output, Adam

The ISMIR paper prints 0.787 and 0.780. The accuracy is that of transfer learning, without more.
"""

answers = "thesis 5.9"
baseline = "jazz_solo"
published = {"s1 micro": 0.751, "s1 macro": 0.768, "mean accuracy": 0.5128}
confusion = True

dataset = -2
model = "model_leaky"
optimizer = "adam"
name = "from_wind_solo_two_passes"
transfer_from = "irmas_wind_solo_1024/model_leaky.adam"
transfer_passes = 2
