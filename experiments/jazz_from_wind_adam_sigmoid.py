"""IRMAS Wind to Jazz: one pass, sigmoid output, Adam"""

answers = "thesis 5.9"
baseline = "jazz"
published = {"s1 micro": 0.605, "s1 macro": 0.621}

dataset = -1
model = "model_leaky"
optimizer = "adam"
name = "from_wind_sigmoid"
transfer_from = "irmas_wind_1024/model_leaky.adam"
