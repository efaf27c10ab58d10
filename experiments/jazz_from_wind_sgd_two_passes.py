"""IRMAS Wind to Jazz: two passes, sigmoid output, SGD

The source was trained with Adam.
"""

answers = "thesis 5.9"
baseline = "jazz"
published = {"s1 micro": 0.604, "s1 macro": 0.595}

dataset = -1
model = "model_leaky"
optimizer = "sgd"
name = "from_wind_two_passes"
transfer_from = "irmas_wind_1024/model_leaky.adam"
transfer_passes = 2
