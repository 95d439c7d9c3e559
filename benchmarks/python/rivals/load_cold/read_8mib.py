"""``read()`` of the data file, 8 MiB at a time."""

from benchmarks.python.rivals.load_cold import sequential

prepare, run, answer, check = sequential.functions_of_rival(8 * sequential.MIB)
