"""Benchmarks: each prints a table of ratios measured within one run. `make bench` runs them."""
