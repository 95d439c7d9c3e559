"""Whole checkpoints, from arrays in memory to files."""
