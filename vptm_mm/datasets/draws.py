"""Configs of data sets that draw from another one."""

from collections.abc import Mapping
from typing import Any

# Registry names; each has a ``dataset`` of which it takes a part, by ``seed``.
DRAWS = ('KShot', 'NWay')


def kind_of(dataset: Mapping[str, Any]) -> str:
    """Return the registry name of a config's ``type``, without its scope."""
    return str(dataset.get('type')).rpartition('.')[-1]
