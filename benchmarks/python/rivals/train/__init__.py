"""Calls of ``tf.train`` on 2,000 variables, and ours of the same names."""
