"""Finds a checkpoint, wherever it is, and reads it safely."""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import torch
from mmengine.logging import MMLogger
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..nn import part_of, require_same_state, without_derived
from .download import download, file_sha256, is_remote

PACKAGED = 'vptm_mm://'
PACKAGED_FILES = Path(__file__).parents[1] / 'checkpoints'
SUFFIX = '.safetensors'
TASK_KEY = 'vptm_mm.task'  # of the metadata of a task file
# Where MMPretrain, Microsoft and DeepSpeed keep the state dict.
CONTAINERS = ('state_dict', 'model', 'module')
# How files of torch begin: today's format, and that of before torch 1.6.
ZIP, PICKLE = b'PK\x03\x04', b'\x80'
# Files whose code their owner wants to run.
_trusted: set[Path] = set()


class UnsafeCheckpointError(ValueError):
    """A file that holds more than tensors, which may run code."""


def fetch(checkpoint: str | PathLike) -> Path:
    """Turn the address of a checkpoint into the path of a local file."""
    if not isinstance(checkpoint, (str, PathLike)):
        raise TypeError(
            f'checkpoint={checkpoint!r} must be a path or an address.'
        )
    checkpoint = str(checkpoint)
    scheme = urlparse(checkpoint).scheme
    if checkpoint.startswith(PACKAGED):
        path = PACKAGED_FILES / checkpoint.removeprefix(PACKAGED)
    elif is_remote(checkpoint):
        path = download(checkpoint)
    elif scheme == 'file':
        path = Path(url2pathname(urlparse(checkpoint).path))
    else:
        path = Path(checkpoint).expanduser()
    if not path.is_file():
        source = f'checkpoint={checkpoint!r}'
        if checkpoint.startswith(PACKAGED):
            names = sorted(file.name for file in PACKAGED_FILES.glob('*.pth'))
            source += f'; the package has {" and ".join(names)}'
        raise FileNotFoundError(
            f'no pre-trained weights at {path.absolute()} (from {source}); '
            'give the path of a BEiT v2 pre-training file by --weights, or '
            'with a config by --cfg-options '
            'model.backbone.init_cfg.checkpoint=PATH.'
        )
    return path


def trust_file(path: str | Path) -> None:
    """Let one file run its code when this process reads it.

    For files of your own that hold more than tensors. Nothing about them is
    checked.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'no file to trust at {path.absolute()}')
    _trusted.add(path.resolve())


def load_file(
    path: Path, map_location: Any = 'cpu', mmap: bool = False
) -> Any:
    """Read a checkpoint as ``torch.load`` does; no code in it is run.

    Args:
        path: A file of torch, in either of its formats, or of safetensors.
        map_location: As in ``torch.load``.
        mmap: Whether to map the file into memory where its format allows it,
            for tensors that are copied at once.

    Raises:
        UnsafeCheckpointError: If it holds more than tensors, plain values and
            what ``host_globals`` names.
        ValueError: If it is damaged or not a checkpoint.
    """
    if path.resolve() in _trusted:
        MMLogger.get_current_instance().warning(
            f'{path} is trusted: code in it is run.'
        )
        return torch.load(path, map_location, weights_only=False)
    if is_safetensors(path):
        return read_safetensors(path)[0]
    try:
        with path.open('rb') as file:
            head = file.read(4)
        if not head.startswith((ZIP, PICKLE)):
            raise ValueError(f'it begins with {head!r}')
        mmap = mmap and head == ZIP
        return torch.load(path, map_location, weights_only=True, mmap=mmap)
    except UnpicklingError as error:
        reason = str(error.__context__ or error).partition('. ')[0]
        raise UnsafeCheckpointError(
            f'{_describe(path)} is refused: it holds more than tensors, which '
            f'may run code ({reason}). Save its state dict alone; or, if you '
            'trust whoever made it, give --trust-checkpoint FILE to '
            'vptm train or vptm test.'
        ) from error
    except Exception as error:  # damaged bytes raise nearly anything
        raise _damaged(path, error) from error


def is_safetensors(path: Path) -> bool:
    """Whether a file is named as one of safetensors, or begins like one."""
    with path.open('rb') as file:
        # The length of the header, 8 bytes, and the header, JSON.
        return path.suffix == SUFFIX or file.read(9)[8:] == b'{'


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata of a safetensors file.

    Raises:
        ValueError: If it is damaged or of another format.
    """
    try:
        with safe_open(path, framework='pt') as file:
            # It is not a dict: it has keys and no iterator.
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = str(error).partition('\n')[0] or type(error).__name__
    return ValueError(
        f'{_describe(path)} is not a readable checkpoint: it is cut short, '
        f'damaged or of another format ({reason}). Delete it and download it '
        'again.'
    )


def _describe(path: Path) -> str:
    return f'{path} ({path.stat().st_size} bytes, sha256 {file_sha256(path)})'


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors, and what stands beside them; no code in it is run.

    Raises:
        ValueError: If it is damaged, a task file or without a state dict.
    """
    content: Any
    meta: Any
    if is_safetensors(path):
        content, meta = read_safetensors(path)
        if TASK_KEY in meta:
            raise ValueError(
                f'{path} is a task file: it holds what is added to '
                'pre-trained weights, not the weights. Give their path, and '
                'the task file to load_from, or to vptm test.'
            )
    else:
        content = load_file(path, mmap=True)
        meta = content.get('meta') if isinstance(content, dict) else None
    for key in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not is_state_dict(content):
        raise ValueError(
            f'{path} holds no state dict; expected one alone, or under one '
            f'of the keys {CONTAINERS}.'
        )
    return without_wrappers(content), meta if isinstance(meta, dict) else {}


def is_state_dict(content: Any) -> bool:
    """Whether it is a dict from names to tensors."""
    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor)
        for name, value in content.items()
    )


def without_wrappers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take what DDP and ``torch.compile`` put into names out of them."""
    return {
        name.replace('_orig_mod.', '').removeprefix('module.'): tensor
        for name, tensor in state.items()
    }


def read_module(
    path: Path,
    module: nn.Module,
    prefix: str = '',
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict,
) -> None:
    """Read all tensors of a module from a file, or none.

    Index buffers that are derived from the configuration are neither wanted
    nor minded.

    Args:
        path: The checkpoint.
        module: The module that gets the tensors.
        prefix: Of the names in the file. If no name has it, all are taken.
        rename: Gives tensors the names of the module, and drops some.

    Raises:
        ValueError: If the file does not fit; the text lists ``-`` missing,
            ``+`` unexpected and ``!`` wrong tensors.
    """
    tensors, _ = read_tensors(path)
    tensors = part_of(tensors, prefix) or tensors
    tensors = without_derived(rename(tensors))
    require_same_state(
        without_derived(module.state_dict()),
        tensors,
        f'{path} does not fit {type(module).__name__}',
        'Compare its arch and the other sizes in the config with it.',
    )
    # What is not in the file is derived.
    module.load_state_dict(tensors, strict=False)
