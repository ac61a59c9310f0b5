"""What a run depends on: its config and the weights that it names."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mmengine.config import Config

from ..weights.checkpoint_file import fetch
from ..weights.download import file_sha256, is_remote


def check_weights(cfg: Config) -> None:
    """Require that each local file of weights is there that a config names.

    Raises:
        FileNotFoundError: If one is not.
    """
    for address in _weights(cfg.to_dict()):
        if urlparse(address).scheme in ('', 'file', 'vptm_mm'):
            fetch(address)


def config_digest(cfg: Config, box: Sequence[Any] = ()) -> str:
    """Return the sha256 of all that a run depends on.

    Args:
        cfg: Its config; the weights that it names count, too.
        box: Of a search in a box, the box.
    """
    said = cfg.to_dict()
    content = [said, [_file_sha256(name) for name in _weights(said)], box]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _weights(part: Any) -> Iterator[str]:
    """Name the files of weights in a part of a config."""
    if isinstance(part, (list, tuple)):
        for one in part:
            yield from _weights(one)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key in ('checkpoint', 'load_from') and isinstance(value, str):
                yield value
            yield from _weights(value)


def _file_sha256(address: str) -> str | None:
    """Return the digest of a local file; None if it is remote, or gone."""
    if is_remote(address):
        return None
    try:
        path = Path(fetch(address))
        state = os.stat(path)
    except OSError:
        return None  # it was there at the start
    return _sha256_of(path, state.st_mtime_ns, state.st_size)


@cache
def _sha256_of(path: Path, time: int, size: int) -> str:
    """Return the digest of a file that was written then, and is so long."""
    return file_sha256(path)
