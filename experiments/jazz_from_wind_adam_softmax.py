"""IRMAS Wind to Jazz: one pass, softmax output, Adam"""

answers = "thesis 5.9"
baseline = "jazz"
published = {"s1 micro": 0.612, "s1 macro": 0.635}

dataset = -1
model = "model_leaky"
optimizer = "adam"
name = "from_wind_softmax"
transfer_from = "irmas_wind_1024/model_leaky.adam"
transfer_output = "softmax"
