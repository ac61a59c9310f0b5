"""A task: what it adds to a frozen encoder, as data, and in a file.

A task file is a safetensors <https://github.com/huggingface/safetensors>
file with one entry of metadata, a JSON object: reading it runs no code. Equal
tasks, whose options have one order, make equal files, byte by byte.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from ..models.encoder import FrozenEncoder
from ..nn import tensors_sha256
from ..version import __version__
from ..weights import write_whole
from ..weights.checkpoint_file import SUFFIX, TASK_KEY, read_safetensors
from ..weights.identity import Identity, module_settings
from .names import local_path
from .validation import validate

FORMAT_VERSION = 1
# What only training reads.
TRAINING = ('train_cfg', 'batch_augments', 'loss', 'init_cfg')


@dataclass(frozen=True)
class Task:
    """What one task adds to a frozen encoder, and how to use it.

    All of it is data. Parts are named by their plain names in MMPretrain's
    registries, with options of numbers, strings, lists and dicts.

    Args:
        tensors: Prompts, projection, prototypes, temperature: everything in
            the classifier's state dict that is not frozen, by its names.
        backbone: Class of the backbone, its options (the tuning and the
            readout), and the config of the encoder.
        head: Class of the head and its options.
        classes: Names of the classes, in the order of the scores.
        data_preprocessor: Normalisation, as in an MMPretrain config.
        pipeline: Transforms of a test image, as in an MMPretrain config.
        frozen_sha256: Digest of the frozen tensors that it was tuned on.
        weights: Path or address of the file that held them.
        version: Version of this package that made it.
        path: The file that it was read from.

    Raises:
        ValueError: As ``validate``.
    """

    tensors: dict[str, Tensor]
    backbone: dict[str, Any]
    head: dict[str, Any]
    classes: tuple[str, ...]
    data_preprocessor: dict[str, Any]
    pipeline: list[dict[str, Any]]
    frozen_sha256: str
    weights: str | None = None
    version: str = __version__
    path: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        try:
            validate(self)
        except RecursionError as error:
            raise ValueError('the task is nested too deep.') from error

    @property
    def identity(self) -> Identity:
        """Which encoder it was tuned on."""
        cfg = json.dumps(plain(self.backbone['encoder']))
        return Identity(self.frozen_sha256, _settings_of(cfg))

    @property
    def num_bytes(self) -> int:
        """Size of all tensors, in bytes."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())

    @property
    def sha256(self) -> str:
        """Digest of all that it is, as its file has it."""
        return _sha256(json.dumps(_to_content(self)), self.tensors)


@lru_cache(maxsize=8)  # the tasks of a pool have one encoder
def _settings_of(encoder: str) -> dict[str, str]:
    try:
        with torch.device('meta'):  # without memory
            return module_settings(FrozenEncoder(json.loads(encoder)))
    except Exception as error:  # a config can be wrong in any way
        raise ValueError(
            f'the task describes an encoder that cannot be built: {error}'
        ) from error


def write_task(task: Task, path: str | Path) -> None:
    """Write a task file, whole or not at all.

    Raises:
        ValueError: If the name does not end in ``.safetensors``, by which
            checkpoints and task files are told apart, or the task holds
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
    content = dict(_to_content(task), sha256=task.sha256)
    # One entry: safetensors writes several in any order.
    write_whole(path, save(tensors, {TASK_KEY: json.dumps(content)}))


def _to_content(task: Task) -> dict[str, Any]:
    """Return what a task file says of a task, but for its digest."""
    init_cfg = task.weights and dict(
        type='Pretrained', checkpoint=task.weights
    )
    return plain(
        dict(
            format_version=FORMAT_VERSION,
            version=task.version,
            frozen_sha256=task.frozen_sha256,
            model=dict(
                type='ImageClassifier',
                backbone=dict(task.backbone, init_cfg=init_cfg),
                head=task.head,
            ),
            classes=task.classes,
            data_preprocessor=task.data_preprocessor,
            pipeline=task.pipeline,
        )
    )


def read_task(path: str | Path) -> Task:
    """Read a task file and check that it is whole.

    Args:
        path: Its path, or ``vptm_mm://`` address.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, not a task file, or of a later format.
    """
    path = local_path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no task file at {path.absolute()}')
    return parse_task(path, *read_safetensors(path))


def parse_task(
    path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]
) -> Task:
    """Return the task that was read from a file."""
    if TASK_KEY not in metadata:
        raise ValueError(
            f'{path} holds tensors, but is not a task file: its metadata has '
            f'no {TASK_KEY!r}. Pre-trained weights go to '
            'model.backbone.init_cfg.checkpoint.'
        )
    try:
        content = json.loads(metadata[TASK_KEY])
        _require_whole(content, tensors)
        return _to_task(content, tensors, path)
    except ValueError as error:
        raise ValueError(
            f'{path} is not a usable task file: {error}'
        ) from error
    except (AttributeError, KeyError, RecursionError, TypeError) as error:
        raise ValueError(
            f'{path} is not a usable task file: it does not hold what '
            f'write_task writes ({error!r:.80}).'
        ) from error


def _require_whole(
    content: dict[str, Any], tensors: dict[str, Tensor]
) -> None:
    version = content.get('format_version')
    if version != FORMAT_VERSION:
        raise ValueError(
            f'it has format version {version!r}, and vptm_mm {__version__} '
            f'reads {FORMAT_VERSION}. It was made by vptm_mm '
            f'{content.get("version", "unknown")}: install that version or a '
            'later one.'
        )
    expected = content.pop('sha256')
    found = _sha256(json.dumps(content), tensors)
    if found != expected:
        raise ValueError(
            f'it is damaged: its sha256 is {found}, and it says '
            f'{expected!r:.80}. Download or copy it again.'
        )


def _to_task(
    content: dict[str, Any], tensors: dict[str, Tensor], path: Path
) -> Task:
    model = content['model']
    if model.get('neck'):
        raise ValueError(f'it has a neck, which no task has: {model["neck"]}')
    backbone = dict(model['backbone'])
    init_cfg = backbone.pop('init_cfg', None) or {}
    return Task(
        tensors=tensors,
        backbone=backbone,
        head=without_training(model['head']),
        classes=tuple(content['classes']),
        data_preprocessor=without_training(content['data_preprocessor']),
        pipeline=with_tuples(content['pipeline']),
        frozen_sha256=content['frozen_sha256'],
        weights=init_cfg.get('checkpoint'),
        version=content['version'],
        path=path,
    )


def _sha256(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    digest.update(tensors_sha256(tensors).encode())
    return digest.hexdigest()


def without_training(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a part without what only training reads."""
    return {key: cfg[key] for key in cfg if key not in TRAINING}


def plain(cfg: Any) -> Any:
    """Return a config, or a part of one, as a task file holds it: sorted."""
    try:
        texts = json.loads(json.dumps(cfg, default=_plain))
    except TypeError as error:  # a key is not text
        raise ValueError(f'a task file cannot hold this: {error}.') from error
    return json.loads(json.dumps(texts, sort_keys=True))


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


def with_tuples(value: Any) -> Any:
    """Turn lists of numbers into tuples, which mmcv's transforms insist on."""
    if isinstance(value, dict):
        return {key: with_tuples(child) for key, child in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(isinstance(child, (int, float)) for child in value):
        return tuple(value)
    return [with_tuples(child) for child in value]
