"""IRMAS with ReLU, the network of Han et al."""

answers = "thesis 5.4"
published = {
    "s1 micro": (0.591, 0.548, 0.568),
    "s1 macro": (0.530, 0.477, 0.471),
    "s1 threshold": 0.40,
    "s2 micro": (0.609, 0.544, 0.574),
    "s2 macro": (0.501, 0.507, 0.475),
    "s2 threshold": 0.55,
}

dataset = 1
model = "model_baseline"
optimizer = "adam"
