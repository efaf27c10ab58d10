"""From audio to tensors: metadata, features, splits."""
