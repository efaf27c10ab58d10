"""What the scripts are made of: data, learning, scoring, figures, and what these share."""
