"""The figures: one style, one function per figure."""
