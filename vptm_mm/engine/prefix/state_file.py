"""A file of states, written piece by piece and read through a memory map.

The format is that of safetensors, whose own writer wants all states at once.
"""

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


class DamagedStatesError(ValueError):
    """A file that is not what was written."""


def write_states(
    path: Path,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    pieces: Iterable[Tensor],
) -> None:
    """Write states so that the file is there whole, or not at all.

    Args:
        path: The file; its folder must exist.
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
    states = dict(
        dtype=CODES[dtype], shape=list(shape), data_offsets=[0, size]
    )
    header = json.dumps(dict(states=states)).encode()
    header += b' ' * (-len(header) % 8)
    with open_whole(path) as file:
        file.write(len(header).to_bytes(8, 'little') + header)
        for piece in pieces:
            file.write(piece.contiguous().view(torch.uint8).numpy().data)


def read_states(path: Path) -> Tensor:
    """Map a file into memory.

    Raises:
        FileNotFoundError: If it is not there.
        DamagedStatesError: If it is cut short or has no states.
    """
    try:
        with safe_open(path, 'pt') as file:
            return file.get_tensor('states')
    except (SafetensorError, OSError, ValueError) as error:
        if not path.exists():
            raise
        raise DamagedStatesError(f'{path} is damaged ({error}).') from error
