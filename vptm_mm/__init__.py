"""VPTM for MMPretrain: importing this package registers everything."""

from .host import allow_host_checkpoints, require_host
from .tested_versions import warn_of_untested_versions

warn_of_untested_versions()
require_host()
allow_host_checkpoints()

from . import datasets, engine, models, pretraining, tasks  # noqa: E402
from .model_index import register_models  # noqa: E402
from .version import __version__  # noqa: E402

register_models()

__all__ = [
    '__version__',
    'datasets',
    'engine',
    'models',
    'pretraining',
    'tasks',
]
