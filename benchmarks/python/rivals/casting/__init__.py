"""Float32 to bfloat16, by one thread into a new array."""
