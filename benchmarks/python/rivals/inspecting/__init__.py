"""Looking into checkpoints: what they list, how two of them differ, and what their numbers are like."""
