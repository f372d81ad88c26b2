"""Benchmarks: each module has `run() -> dict[str, float]`; names carry units, numbers are medians."""
