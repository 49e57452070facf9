"""Comparisons of speed and memory with other packages and with bare torch loops: `python -m benchmarks`."""
