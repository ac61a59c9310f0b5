"""What a run depends on: its config and the weights that it names."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlparse

from mmengine.config import Config

from ..weights.checkpoint_file import fetch
from ..weights.download import file_sha256


def config_digest(cfg: Config, box: Sequence[Any] = ()) -> str:
    """Return the sha256 of all that a run depends on.

    Args:
        cfg: Its config; the weights that it names count, too.
        box: Of a search in a box, the box.

    Raises:
        FileNotFoundError: If a local file of weights is not there.
    """
    said = cfg.to_dict()
    content = [said, [weights_sha256(name) for name in _weights(said)], box]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def weights_sha256(address: str) -> str | None:
    """Return the digest of a local file; None if it is the host's to find."""
    is_local = urlparse(address).scheme in ('', 'file', 'vptm_mm')
    return file_sha256(fetch(address)) if is_local else None


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
