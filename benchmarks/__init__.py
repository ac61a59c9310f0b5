"""Benchmarks, run from a clone: ``python -m benchmarks.blocks`` and so on."""
