"""Benchmarks: never part of the tests, always against other tools in the same run on the same machine."""
