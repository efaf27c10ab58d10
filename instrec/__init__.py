"""What the scripts are made of: data, learning, scoring, figures, reports, and code they share."""
