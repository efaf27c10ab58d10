"""From the outputs of networks to scores, and to the instruments of a recording."""
