"""A few rows of one large variable, from a reader that is open."""
