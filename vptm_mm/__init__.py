"""VPTM for MMPretrain: importing this package registers everything."""

from .host import allow_host_checkpoints, require_host

require_host()
allow_host_checkpoints()

from . import datasets, engine, models  # noqa: E402
from .model_index import register_models  # noqa: E402
from .version import __version__  # noqa: E402

register_models()

__all__ = ['__version__', 'datasets', 'engine', 'models']
