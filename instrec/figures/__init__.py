"""The figures: one style, one function a figure."""
