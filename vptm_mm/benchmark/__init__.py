"""What ``tools/benchmark.py`` and ``tools/benchmark_run.py`` measure."""
