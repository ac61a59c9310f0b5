"""Which versions the tests were run with, and a warning for others."""

import sys
import warnings
from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version

# Oldest and newest that .ci/versions.py ran, and the first that is warned of.
# A minor release of torch or numpy breaks little, and there is always a newer
# one: those after the newest are not warned of, the next major one is.
TESTED = {
    'Python': ('3.10', '3.13', '3.14'),
    'torch': ('2.6', '2.14', '3'),
    'numpy': ('1.26', '2.5', '3'),
    'mmengine': ('0.10.7', '0.10.7', '0.11'),
    'mmpretrain': ('1.2.0', '1.2.0', '1.3'),
    'mmcv-lite': ('2.1.0', '2.2.0', '2.3'),
    'onedl-mmengine': ('0.10.12', '0.10.12', '0.11'),
    'onedl-mmpretrain': ('1.3.6', '1.3.6', '1.4'),
    'onedl-mmcv': ('2.3.6', '2.3.6', '2.4'),
}


def warn_of_untested_versions() -> None:
    """Warn once, if a version is outside of what the tests were run with.

    What is not installed is not looked at: either stack of the host brings
    its own names.
    """
    untested = []
    for name, (oldest, newest, limit) in TESTED.items():
        found = _installed(name)
        if found and not Version(oldest) <= Version(found) < Version(limit):
            untested.append(f'{name} {found} (tested: {oldest} to {newest})')
    if untested:
        warnings.warn(
            f'vptm_mm was not tested with {", ".join(untested)}. It may fail, '
            'or compute something else: if so, try a tested version first.',
            stacklevel=2,
        )


def _installed(name: str) -> str | None:
    if name == 'Python':
        return '.'.join(map(str, sys.version_info[:3]))
    try:
        return version(name)
    except PackageNotFoundError:
        return None
