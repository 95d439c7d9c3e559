"""What the Python tests share: an independent encoder of the format, expected values, and TensorFlow as an oracle.

Nothing here imports ``tensorbundle``. A mistake in the library can therefore not hide in the files it is tested with.
"""
