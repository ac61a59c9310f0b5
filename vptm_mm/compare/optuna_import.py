"""Optuna is an extra: nothing but comparisons needs it."""

import importlib
from types import ModuleType


def import_optuna() -> ModuleType:
    """Import Optuna, or say which command to run.

    Raises:
        ImportError: If it is missing.
    """
    try:
        optuna = importlib.import_module('optuna')
    except ImportError as error:
        raise ImportError(
            f'tools/compare.py keeps its runs in a study of Optuna ({error}). '
            "Run: pip install 'vptm_mm[sweep]'"
        ) from error
    # Its log names each trial that it creates; ours says more.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
