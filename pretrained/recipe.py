"""Rendered music of several SoundFonts, varied: the model that predict.py takes by default

`make pretrained` makes it. What the choices are worth: docs/recognise.md.
"""

answers = "this project"

dataset = 10
model = "model_residual"
optimizer = "adam"
schedule = "cosine"
augmentation = "room start noise pitch"
split_by = "recording"
batch_size = 64
nb_epochs = 15
patience = 15
iter_num = 1
