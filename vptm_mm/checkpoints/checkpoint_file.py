"""Finds a checkpoint, wherever it is, and reads it safely."""

import pickle
from importlib import resources
from os import PathLike
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from ..bricks import compare_states, without_derived
from ..host import host_globals, reads_weights_only
from .checkpoint_contents import (
    UnsafeCheckpointError,
    find_part,
    require_harmless,
)
from .download import download, is_remote, sha256

PACKAGED = 'vptm_mm://'
# Files whose code their owner wants to run.
_trusted: set[Path] = set()


def fetch(checkpoint: str | PathLike) -> Path:
    """Turn the address of a checkpoint into the path of a local file."""
    if not isinstance(checkpoint, (str, PathLike)):
        raise TypeError(
            f'checkpoint={checkpoint!r} must be a path or an address.'
        )
    checkpoint = str(checkpoint)
    scheme = urlparse(checkpoint).scheme
    if checkpoint.startswith(PACKAGED):
        folder = resources.files('vptm_mm') / 'checkpoints'
        path = Path(str(folder / checkpoint[len(PACKAGED) :]))
    elif is_remote(checkpoint):
        path = download(checkpoint)
    elif scheme == 'file':
        path = Path(url2pathname(urlparse(checkpoint).path))
    else:
        path = Path(checkpoint).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'no pre-trained weights at {path.absolute()} (from checkpoint='
            f'{checkpoint!r}); give the path of a BEiT v2 pre-training file '
            'by --cfg-options model.backbone.init_cfg.checkpoint=PATH.'
        )
    return path


def trust_file(path: str | Path) -> None:
    """Let one file run its code when this process reads it.

    For files of your own that hold more than tensors, or are older than torch
    1.6. Nothing about them is checked.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'no file to trust at {path.absolute()}')
    _trusted.add(path.resolve())


def load_file(path: Path, map_location: Any = 'cpu') -> Any:
    """Read a checkpoint as ``torch.load`` does; no code in it is run.

    Whatever ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD`` says.

    Raises:
        UnsafeCheckpointError: If it could run code, or claims more than it
            holds.
        ValueError: If it is damaged or no checkpoint.
    """
    if path.resolve() in _trusted:
        MMLogger.get_current_instance().warning(
            f'{path} is trusted: code in it is run.'
        )
        return torch.load(path, map_location, weights_only=False)
    try:
        with path.open('rb') as file:
            require_harmless(file)
            if reads_weights_only():
                return torch.load(file, map_location, weights_only=True)
            return torch.load(file, map_location, pickle_module=_PARTS_ONLY)
    except Exception as error:  # damaged bytes raise nearly anything
        is_unsafe = isinstance(error, UnsafeCheckpointError)
        kind = UnsafeCheckpointError if is_unsafe else ValueError
        raise kind(
            f'{path} ({path.stat().st_size} bytes) is no readable checkpoint: '
            f'{error}. Its sha256 is {sha256(path)}.'
        ) from error


class _PartsUnpickler(pickle.Unpickler):
    """Builds what ``find_part`` knows, for a torch before 2.6."""

    def find_class(self, module: str, name: str) -> Any:
        find_part(module, name)
        found = host_globals().get(f'{module}.{name}')
        return found or super().find_class(module, name)


_PARTS_ONLY = SimpleNamespace(
    __name__='parts_only', Unpickler=_PartsUnpickler, load=None
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint; no code in it is run."""
    content = load_file(path)
    for key in ('state_dict', 'model'):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not is_state_dict(content):
        raise ValueError(
            f'{path} holds no state dict; expected one under the key '
            "'state_dict' (MMPretrain) or 'model' (Microsoft)."
        )
    if all(name.startswith('module.') for name in content):  # of DDP
        content = {k[len('module.') :]: v for k, v in content.items()}
    return content


def is_state_dict(content: Any) -> bool:
    """Whether it is a dict from names to tensors."""
    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor)
        for name, value in content.items()
    )


def read_module(path: Path, module: nn.Module, prefix: str = '') -> None:
    """Read all tensors of a module from a file, or none.

    Index buffers that are derived from the configuration are neither wanted
    nor minded.

    Args:
        path: The checkpoint.
        module: The module that gets the tensors.
        prefix: Of the names in the file. If no name has it, all are taken.

    Raises:
        ValueError: If the file does not fit; the text lists ``-`` missing,
            ``+`` unexpected and ``!`` wrong tensors.
    """
    tensors = read_tensors(path)
    if any(name.startswith(prefix) for name in tensors):
        tensors = {
            name.removeprefix(prefix): tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
    tensors = without_derived(tensors)
    difference = compare_states(without_derived(module.state_dict()), tensors)
    if difference:
        raise ValueError(
            f'{path} does not fit {type(module).__name__} (- missing, '
            f'+ unexpected, ! wrong):\n  {difference}\nCompare its arch and '
            'the other sizes in the config with it.'
        )
    # What is not in the file is derived.
    module.load_state_dict(tensors, strict=False)
