"""Whole checkpoints, from opening to the last array, in a warm page cache."""
