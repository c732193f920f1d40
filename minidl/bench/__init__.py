"""Benchmarks: ratios of two things timed in turn, never absolute times alone."""
