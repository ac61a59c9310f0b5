"""A task in a file: what one task adds to a frozen backbone.

A task file is a `safetensors <https://github.com/huggingface/safetensors>`_
file whose metadata are JSON strings: reading it runs no code.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..bricks import tensors_sha256
from ..version import __version__

FORMAT = 'vptm_mm.task'
FORMAT_VERSION = 1
SUFFIX = '.safetensors'


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
    """

    tensors: dict[str, Tensor]
    model: dict[str, Any]
    classes: tuple[str, ...]
    data_preprocessor: dict[str, Any]
    pipeline: list[dict[str, Any]]
    frozen_sha256: str
    version: str = field(default=__version__)

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
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f'task file {path} must end in {SUFFIX}.')
    tensors = {
        k: v.detach().cpu().contiguous() for k, v in task.tensors.items()
    }
    metadata = dict(
        format=FORMAT,
        format_version=str(FORMAT_VERSION),
        version=task.version,
        frozen_sha256=task.frozen_sha256,
        tensors_sha256=tensors_sha256(tensors),
        model=_to_json(task.model),
        classes=_to_json(task.classes),
        data_preprocessor=_to_json(task.data_preprocessor),
        pipeline=_to_json(task.pipeline),
    )
    part = path.with_name(path.name + '.part')
    try:
        save_file(tensors, part, metadata)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f'{path} ({path.stat().st_size} bytes) is no readable task file: '
            f'it is cut short, damaged or of another format ({error}). Get it '
            'again, or make it by tools/task.py export.'
        ) from error
    if metadata.get('format') != FORMAT:
        raise ValueError(
            f'{path} holds tensors, but is no task file: its metadata have '
            f'format={metadata.get("format")!r} in place of {FORMAT!r}. '
            'Pre-trained weights go to model.backbone.init_cfg.checkpoint.'
        )
    _check_version(metadata, path)
    try:
        task = Task(
            tensors=tensors,
            model=_from_json(metadata, 'model', dict),
            classes=tuple(_from_json(metadata, 'classes', list)),
            data_preprocessor=_from_json(metadata, 'data_preprocessor', dict),
            pipeline=_from_json(metadata, 'pipeline', list),
            frozen_sha256=_digest(metadata, 'frozen_sha256'),
            version=metadata.get('version', 'unknown'),
        )
        if not all(isinstance(name, str) for name in task.classes):
            raise ValueError('classes must be names.')
        expected = _digest(metadata, 'tensors_sha256')
    except ValueError as error:
        raise ValueError(f'{path} is a damaged task file: {error}') from error
    found = tensors_sha256(tensors)
    if found != expected:
        raise ValueError(
            f'{path} is a damaged task file: the sha256 of its tensors is '
            f'{found}, and it says {expected}. Get it again.'
        )
    return task


def _check_version(metadata: Mapping[str, str], path: Path) -> None:
    version = metadata.get('format_version', '')
    if version != str(FORMAT_VERSION):
        raise ValueError(
            f'{path} has format version {version!r}; this vptm_mm '
            f'{__version__} reads {FORMAT_VERSION}. It was made by vptm_mm '
            f'{metadata.get("version", "unknown")}: install that version or '
            'a later one.'
        )


def _to_json(value: Any) -> str:
    def other(entry: Any) -> Any:
        if isinstance(entry, type):  # MODELS.build takes classes, too
            return entry.__name__
        if isinstance(entry, (range, set)):
            return list(entry)
        raise ValueError(
            f'a task file cannot hold {entry!r} ({type(entry).__name__}) of '
            'the config; write it with numbers, strings, lists and dicts.'
        )

    return json.dumps(value, default=other)


def _from_json(metadata: Mapping[str, str], key: str, kind: type) -> Any:
    try:
        value = json.loads(metadata.get(key, ''))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'its {key} is no JSON ({error}).') from error
    if not isinstance(value, kind):
        raise ValueError(f'its {key} is no {kind.__name__}: {value!r:.80}.')
    return value


def _digest(metadata: Mapping[str, str], key: str) -> str:
    value = metadata.get(key, '')
    if not re.fullmatch('[0-9a-f]{64}', value):
        raise ValueError(f'its {key} is no sha256: {value!r:.80}.')
    return value
