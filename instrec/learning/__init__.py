"""Trained networks: how they are fed, trained, kept and loaded."""
