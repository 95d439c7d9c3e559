"""The benchmarks: ``python -m benchmarks`` from the root of the repository, ``docs/benchmarks.md`` says how."""
