"""IRMAS: the mean of the outputs of all trainings

The published ensemble is of networks with ReLU.
"""

answers = "Han et al. 2017"
baseline = "irmas_leaky"
published = {
    "s2 micro": (0.657, 0.603, 0.629),
    "s2 macro": (0.540, 0.547, 0.517),
    "s2 threshold": 0.55,
}

dataset = 1
model = "model_leaky"
optimizer = "adam"
ensemble = True
