"""VPTM for MMPretrain, its host: importing registers everything there."""

from typing import Any

from .host import allow_host_checkpoints, require_host

require_host()
allow_host_checkpoints()

from . import datasets, engine, models, pretraining, tasks  # noqa: E402
from .model_index import register_models  # noqa: E402
from .version import __version__  # noqa: E402

register_models()

PUBLIC = ('TaskPool', 'adapt', 'export', 'load_classifier', 'read_task')

__all__ = [
    '__version__',
    'datasets',
    'engine',
    'models',
    'pretraining',
    'tasks',
]


def __getattr__(name: str) -> Any:
    """Import the Python interface when it is used: not all of it is light."""
    if name not in PUBLIC:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from . import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
