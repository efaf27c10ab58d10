"""IRMAS, validated on recordings of which nothing was trained on

How much does the patch-wise split flatter validation and the confusion matrix?
"""

answers = "this project"
baseline = "irmas_leaky"
confusion = True

dataset = 1
model = "model_leaky"
optimizer = "adam"
name = "by_recording"
split_by = "recording"
