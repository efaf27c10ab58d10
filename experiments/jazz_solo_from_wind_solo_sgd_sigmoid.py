"""IRMAS Wind Solo to Jazz Solo: one pass, sigmoid output, SGD

The source was trained with Adam.
"""

answers = "thesis 5.9"
baseline = "jazz_solo"
published = {"s1 micro": 0.566, "s1 macro": 0.608}

dataset = -2
model = "model_leaky"
optimizer = "sgd"
name = "from_wind_solo_sigmoid"
transfer_from = "irmas_wind_solo_1024/model_leaky.adam"
