"""Jazz: six wind instruments of jazz solos, from scratch"""

answers = "thesis 5.4"
published = {"s1 micro": 0.657, "s1 macro": 0.669}

dataset = -1
model = "model_leaky"
optimizer = "adam"
