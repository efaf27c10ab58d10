"""Experiments set beside what was published."""
