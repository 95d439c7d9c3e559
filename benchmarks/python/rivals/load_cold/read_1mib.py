"""``read()`` of the data file, 1 MiB at a time."""

from benchmarks.python.rivals.load_cold import sequential

prepare, run, answer, check = sequential.functions_of_rival(1 * sequential.MIB)
