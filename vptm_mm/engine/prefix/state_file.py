"""A file of states, written piece by piece and read through a memory map.

The format is that of safetensors, whose own writer wants all states at once.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...weights import WriteError, open_whole

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}
CODES = {torch.float32: 'F32', torch.bfloat16: 'BF16'}
UNKNOWN = '0' * 64  # in place of the digest, until all is written
CHUNK = 2**24  # bytes that are digested at once


class DamagedStatesError(ValueError):
    """A file that is not what was written."""


def write_states(
    path: Path,
    key: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    pieces: Iterable[Tensor],
) -> None:
    """Write states so that the file is there whole, or not at all.

    Args:
        path: The file; its folder must exist.
        key: What the states depend on, as a digest.
        shape: Shape of all states.
        dtype: ``torch.float32`` or ``torch.bfloat16``.
        pieces: The states, in their order.

    Raises:
        WriteError: If the disk has no room for them, or fails.
    """
    size = prod(shape) * dtype.itemsize
    free = shutil.disk_usage(path.parent).free
    if size > free:
        raise WriteError(
            f'cannot write {path}: it needs {size / 1e6:,.1f} MB, and '
            f'{free / 1e6:,.1f} MB are free. Make room, name another folder, '
            "or take fewer views or dtype='bfloat16'."
        )
    digest = hashlib.sha256()
    with open_whole(path) as file:
        file.write(_header(key, UNKNOWN, shape, dtype))
        for piece in pieces:
            content = piece.contiguous().view(torch.uint8).numpy().data
            digest.update(content)
            file.write(content)
        file.seek(0)
        file.write(_header(key, digest.hexdigest(), shape, dtype))


def read_states(path: Path, key: str, verify: bool = True) -> Tensor:
    """Map a file into memory.

    Args:
        path: The file.
        key: What its states must depend on.
        verify: Whether to read it all, and to compare its digest.

    Raises:
        FileNotFoundError: If it is not there.
        DamagedStatesError: If it is cut short, damaged or of another key.
    """
    try:
        with safe_open(path, 'pt') as file:
            metadata = file.metadata() or {}
            states = file.get_tensor('states')
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        if not path.exists():
            raise
        raise DamagedStatesError(f'{path} is damaged ({error}).') from error
    if metadata.get('key') != key:
        raise DamagedStatesError(f'{path} is of other images or weights.')
    if verify and metadata.get('sha256') != _digest(states):
        raise DamagedStatesError(f'{path} is damaged: its sha256 differs.')
    return states


def _header(
    key: str, digest: str, shape: tuple[int, ...], dtype: torch.dtype
) -> bytes:
    size = prod(shape) * dtype.itemsize
    header = dict(
        __metadata__=dict(key=key, sha256=digest),
        states=dict(
            dtype=CODES[dtype], shape=list(shape), data_offsets=[0, size]
        ),
    )
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text


def _digest(states: Tensor) -> str:
    content = states.reshape(-1).view(torch.uint8).numpy().data
    digest = hashlib.sha256()
    for start in range(0, len(content), CHUNK):
        digest.update(content[start : start + CHUNK])
    return digest.hexdigest()
