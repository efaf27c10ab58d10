"""IRMAS Wind to Jazz: one pass, sigmoid output, SGD

The source was trained with Adam.
"""

answers = "thesis 5.9"
baseline = "jazz"
published = {"s1 micro": 0.599, "s1 macro": 0.618}

dataset = -1
model = "model_leaky"
optimizer = "sgd"
name = "from_wind_sigmoid"
transfer_from = "irmas_wind_1024/model_leaky.adam"
