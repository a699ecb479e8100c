"""Measurements of the product itself; each module is run with `python -m benchmarks.NAME`."""
