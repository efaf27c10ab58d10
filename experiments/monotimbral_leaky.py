"""Monotimbral with leaky ReLU"""

answers = "thesis 5.4"
published = {
    "s1 micro": (0.645, 0.678, 0.661),
    "s1 macro": (0.685, 0.681, 0.657),
    "s1 threshold": 0.80,
    "s2 micro": (0.619, 0.695, 0.655),
    "s2 macro": (0.657, 0.690, 0.649),
    "s2 threshold": 0.70,
    "mean accuracy": 0.5597,
}
published_classwise_change = (0, 1)
confusion = True

dataset = 2
model = "model_leaky"
optimizer = "adam"
