"""IRMAS to Jazz: two passes, sigmoid output, Adam"""

answers = "thesis 5.9"
baseline = "jazz"
published = {"s1 micro": 0.417, "s1 macro": 0.440}

dataset = -1
model = "model_leaky"
optimizer = "adam"
name = "from_irmas"
transfer_from = "irmas_1024/model_leaky.adam"
transfer_passes = 2
