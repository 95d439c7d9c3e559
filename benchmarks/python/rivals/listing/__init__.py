"""Names, dtypes and shapes of everything in a checkpoint."""
