"""Optuna is an extra: nothing but comparisons needs it."""

import importlib
from pathlib import Path
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


def sqlite_url(path: Path) -> str:
    """Return the URL of a file, whatever characters its path has."""
    url = _engine().URL.create('sqlite', database=str(path))
    return url.render_as_string()


def sqlite_path(url: str) -> Path:
    """Return the file of a URL."""
    return Path(_engine().make_url(url).database or '')


def _engine() -> ModuleType:
    import_optuna()  # which brings SQLAlchemy, or says what to install
    return importlib.import_module('sqlalchemy.engine')
