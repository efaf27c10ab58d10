"""Render demo music: what is played, sung and synthesised."""
