"""A task in a file: what one task adds to a frozen backbone.

A task file is a `safetensors <https://github.com/huggingface/safetensors>`_
file with one entry of metadata, a JSON object: reading it runs no code. Equal
tasks make equal files, byte by byte.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..nn import tensors_sha256
from ..version import __version__
from ..weights.atomic_write import write_whole
from ..weights.checkpoint_file import PACKAGED, SUFFIX, TASK_KEY, fetch

FORMAT_VERSION = 1
TASK_NAME = 'task.safetensors'  # behind the name of a config
# Mixup and its like: nobody who has a task trains with it.
TRAINING = ('train_cfg', 'batch_augments')


@dataclass(frozen=True)
class Task:
    """What one task adds to a frozen backbone, and how to use it.

    Args:
        tensors: Prompts, projection, prototypes, temperature: everything in
            the classifier's state dict that is not frozen, by its names.
        model: Config of the classifier, ``model`` of an MMPretrain config.
        classes: Names of the classes, in the order of the scores.
        data_preprocessor: Normalisation, as in an MMPretrain config.
        pipeline: Transforms of a test image, as in an MMPretrain config.
        frozen_sha256: Digest of the frozen tensors that it was tuned on.
        version: Version of this package that made it.
        path: The file that it was read from.
    """

    tensors: dict[str, Tensor]
    model: dict[str, Any]
    classes: tuple[str, ...]
    data_preprocessor: dict[str, Any]
    pipeline: list[dict[str, Any]]
    frozen_sha256: str
    version: str = field(default=__version__)
    path: Path | None = field(default=None, compare=False)

    @property
    def num_bytes(self) -> int:
        """Size of all tensors, in bytes."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


def write_task(task: Task, path: str | Path) -> None:
    """Write a task file, whole or not at all.

    Raises:
        ValueError: If the name does not end in ``.safetensors``, by which
            checkpoints and task files are told apart, or the config holds
            something that JSON has no word for.
        WriteError: If the disk is full, read-only or failing, or the folder
            is not there.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f'task file {path} must end in {SUFFIX}.')
    tensors = {
        k: v.detach().cpu().contiguous() for k, v in task.tensors.items()
    }
    content = dict(
        format_version=FORMAT_VERSION,
        version=task.version,
        frozen_sha256=task.frozen_sha256,
        model=task.model,
        classes=task.classes,
        data_preprocessor=task.data_preprocessor,
        pipeline=task.pipeline,
    )
    text = json.dumps(content, default=_plain)
    content = dict(json.loads(text), sha256=_sha256(text, tensors))
    # One entry: safetensors writes several in any order.
    metadata = {TASK_KEY: json.dumps(content)}
    write_whole(path, save(tensors, metadata))


def task_file_name(config: str | Path | None) -> str:
    """Name the task file of a run after its config."""
    return f'{Path(config).stem}.{TASK_NAME}' if config else TASK_NAME


def find_task_file(folder: str | Path) -> Path | None:
    """Find the task file of a work dir; the newest, if there are several.

    Earlier versions named all of them ``task.safetensors``: the last choice,
    for a run that was resumed has another one since.
    """
    found = [*Path(folder).glob(f'*.{TASK_NAME}'), Path(folder, TASK_NAME)]
    found = [path for path in found if path.is_file()]
    return max(
        found,
        key=lambda path: (path.name != TASK_NAME, path.stat().st_mtime),
        default=None,
    )


def name_and_path(file: str | Path) -> tuple[str, Path]:
    """Split ``NAME=FILE``; a file without a name is named after itself.

    Args:
        file: The path of a task file or its ``vptm_mm://`` address, with or
            without a name before it.
    """
    name, _, path = str(file).partition('=')
    if not path or Path(file).is_file():
        name, path = '', str(file)
    found = fetch(path) if path.startswith(PACKAGED) else Path(path)
    name = name or found.name.removesuffix(SUFFIX).removesuffix('.task')
    return name, found.expanduser()


def read_task(path: str | Path) -> Task:
    """Read a task file and check that it is whole.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, no task file, or of a later format.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'no task file at {path.absolute()}')
    try:
        with safe_open(path, framework='pt') as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f'{path} ({path.stat().st_size} bytes) is no readable task file: '
            f'it is cut short, damaged or of another format ({error}). Get it '
            'again, or make it by tools/task.py export.'
        ) from error
    if TASK_KEY not in metadata:
        raise ValueError(
            f'{path} holds tensors, but is no task file: its metadata have no '
            f'{TASK_KEY!r}. Pre-trained weights go to '
            'model.backbone.init_cfg.checkpoint.'
        )
    try:
        content = _parse(metadata[TASK_KEY])
        expected = _digest(content, 'sha256')
        del content['sha256']
        task = Task(
            tensors=tensors,
            model=without_training(_entry(content, 'model', dict)),
            classes=tuple(_entry(content, 'classes', list)),
            data_preprocessor=without_training(
                _entry(content, 'data_preprocessor', dict)
            ),
            pipeline=_with_tuples(_entry(content, 'pipeline', list)),
            frozen_sha256=_digest(content, 'frozen_sha256'),
            version=_entry(content, 'version', str),
            path=path,
        )
        if not all(isinstance(name, str) for name in task.classes):
            raise ValueError(f'its classes are no names: {task.classes!r:.80}')
        if not all(isinstance(step, dict) for step in task.pipeline):
            raise ValueError(
                f'its pipeline has no dicts: {task.pipeline!r:.80}'
            )
        for part in ('backbone', 'head'):
            _entry(task.model, part, dict)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is no usable task file: {error}') from error
    found = _sha256(json.dumps(content), tensors)
    if found != expected:
        raise ValueError(
            f'{path} is a damaged task file: its sha256 is {found}, and it '
            f'says {expected}. Get it again.'
        )
    return task


def is_task_file(path: Path) -> bool:
    """Whether a safetensors file says that it is a task; damaged ones, too."""
    try:
        with safe_open(path, framework='pt') as file:
            return TASK_KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return True


def without_training(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config without what only training reads."""
    return {key: cfg[key] for key in cfg if key not in TRAINING}


def _sha256(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    digest.update(tensors_sha256(tensors).encode())
    return digest.hexdigest()


def plain(cfg: Any) -> Any:
    """Return a config, or a part of one, as a task file holds it.

    Raises:
        ValueError: If it holds something that JSON has no word for.
    """
    try:
        return json.loads(json.dumps(cfg, default=_plain))
    except TypeError as error:  # a key is no text
        raise ValueError(f'a task file cannot hold this: {error}.') from error


def plain_pipeline(transforms: Any) -> list[dict[str, Any]]:
    """Return the transforms of a config as they are read from a task file."""
    return _with_tuples(plain(transforms))


def _with_tuples(value: Any) -> Any:
    """Turn lists of numbers into tuples, which mmcv's transforms insist on."""
    if isinstance(value, dict):
        return {key: _with_tuples(child) for key, child in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(isinstance(child, (int, float)) for child in value):
        return tuple(value)
    return [_with_tuples(child) for child in value]


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):  # an interpolation of torchvision
        return value.value
    if isinstance(value, type):  # MODELS.build takes classes, too
        return value.__name__
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (range, set)):
        return list(value)
    raise ValueError(
        f'a task file cannot hold {value!r} ({type(value).__name__}) of the '
        'config; write it with numbers, strings, lists and dicts.'
    )


def _parse(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'its metadata are no JSON ({error}).') from error
    if not isinstance(content, dict):
        raise ValueError(f'its metadata are no JSON object: {content!r:.80}')
    version = content.get('format_version')
    if version != FORMAT_VERSION:
        raise ValueError(
            f'it has format version {version!r}, and vptm_mm {__version__} '
            f'reads {FORMAT_VERSION}. It was made by vptm_mm '
            f'{content.get("version", "unknown")}: install that version or a '
            'later one.'
        )
    return content


def _entry(content: Mapping[str, Any], key: str, kind: type) -> Any:
    value = content.get(key)
    if not isinstance(value, kind):
        raise ValueError(f'its {key} is no {kind.__name__}: {value!r:.80}')
    return value


def _digest(content: Mapping[str, Any], key: str) -> str:
    value = _entry(content, key, str)
    if not re.fullmatch('[0-9a-f]{64}', value):
        raise ValueError(f'its {key} is no sha256: {value!r:.80}')
    return value
