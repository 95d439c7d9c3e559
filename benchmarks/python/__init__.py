"""What ``python -m benchmarks`` runs: cases, their files, the rivals in processes of their own, and the report."""
