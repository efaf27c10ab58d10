"""IRMAS Wind Solo to Jazz Solo: one pass, softmax output, Adam"""

answers = "thesis 5.9"
baseline = "jazz_solo"
published = {"s1 micro": 0.729, "s1 macro": 0.735}

dataset = -2
model = "model_leaky"
optimizer = "adam"
name = "from_wind_solo_softmax"
transfer_from = "irmas_wind_solo_1024/model_leaky.adam"
transfer_output = "softmax"
