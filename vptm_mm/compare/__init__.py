"""Compares methods: a plan, its runs as trials of Optuna, tables and plots."""

try:
    import optuna
    import pandas  # noqa: F401
except ImportError as error:
    raise ImportError(
        'tools/compare.py keeps its runs with Optuna and makes its tables '
        f"with pandas ({error}). Run: pip install 'vptm_mm[sweep]'"
    ) from error

# Its log names each trial that it creates; ours says more.
optuna.logging.set_verbosity(optuna.logging.WARNING)
