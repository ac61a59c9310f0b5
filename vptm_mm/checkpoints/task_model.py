"""From classifiers to tasks and back."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope, Registry
from mmpretrain import get_model
from mmpretrain.registry import MODELS, TRANSFORMS
from torch import Tensor

from ..bricks import compare_states
from .checkpoint_file import UnsafeCheckpointError
from .download import is_remote, is_stored
from .task_file import Task, without_training
from .task_state import (
    FROZEN_SHA256,
    load_state,
    read_checkpoint,
    task_state,
    to_checkpoint,
)

# Packages whose classes a task may name only if they compute, and no more.
HOSTS = ('mmpretrain.', 'mmengine.', 'mmcv.', 'torch.', 'torchvision.')
COMPUTING = (
    'mmpretrain.models.classifiers.image.',
    'mmpretrain.models.backbones.beit.',
    'mmpretrain.models.selfsup.beit.',
    'mmpretrain.models.heads.',
    'mmpretrain.models.losses.',
    'mmpretrain.models.necks.',
    'mmpretrain.models.utils.',
    'mmpretrain.datasets.transforms.',
    'mmcv.transforms.',
    'mmcv.cnn.bricks.',
    'torch.nn.',
)
# They call whatever function of another package is named.
READING = ('Albu', 'Albumentations')
# Largest numbers of a task's config: sizes of its model, of its images, and
# exceptions by key.
MAX_SIZE, MAX_PIXELS = 2**14, 2**12
LIMITS = {
    'in_channels': 2**20,
    'num_classes': 2**17,
    'num_visual_tokens': 2**16,
    'prompt_length': 2**12,
    'num_layers': 200,
    'depth': 200,
    'mask_grid': 32,
}
# BEiT v2 large has 0.3e9.
MAX_PARAMETERS = 4 * 10**9


def make_task(
    model: BaseModel, cfg: Config, classes: Sequence[str] | None = None
) -> Task:
    """Take the task out of a classifier.

    Args:
        model: The classifier.
        cfg: Its config; ``model``, ``data_preprocessor`` and the pipeline of
            the test images are read.
        classes: Names of the classes; None for those of the checkpoint that
            the classifier was loaded from, or to number them.

    Raises:
        ValueError: If the number of names is not that of the head, or the
            config has no test images.
    """
    num_classes = model.head.num_classes
    if classes is None:
        classes = (getattr(model, '_dataset_meta', None) or {}).get('classes')
    if classes is None:
        classes = [str(i) for i in range(num_classes)]
    if len(classes) != num_classes:
        raise ValueError(
            f'{len(classes)} class names do not fit the head: num_classes='
            f'{num_classes}.'
        )
    state = task_state(model)
    digest = bytes(state.pop(FROZEN_SHA256).tolist()).hex()
    model_cfg = _plain(cfg.model)
    preprocessor = model_cfg.pop('data_preprocessor', None) or cfg.get(
        'data_preprocessor'
    )
    return Task(
        tensors={k: v.detach().cpu().clone() for k, v in state.items()},
        model=without_training(model_cfg),
        classes=tuple(classes),
        data_preprocessor=without_training(_plain(preprocessor or {})),
        pipeline=prediction_pipeline(cfg),
        frozen_sha256=digest,
    )


def _plain(cfg: Any) -> Any:
    """Turn the config's own classes into dicts and lists."""
    if isinstance(cfg, Mapping):
        return {key: _plain(value) for key, value in cfg.items()}
    if isinstance(cfg, (list, tuple, range)):
        return [_plain(value) for value in cfg]
    return str(cfg) if isinstance(cfg, PurePath) else cfg


def prediction_pipeline(cfg: Config) -> list[dict]:
    """Return the transforms of a test image that a config names.

    Raises:
        ValueError: If it names none.
    """
    for name in ('test_dataloader', 'val_dataloader'):
        dataset = (cfg.get(name) or {}).get('dataset')
        while dataset is not None:  # wrappers hold a data set
            if dataset.get('pipeline'):
                return _plain(dataset['pipeline'])
            dataset = dataset.get('dataset')
    raise ValueError(
        'the config has no test_dataloader.dataset.pipeline, which says how a '
        'test image is prepared.'
    )


def load_classifier(
    config: str | Path | Config, checkpoint: str | Path, device: Any = None
) -> BaseModel:
    """Build a classifier and load a checkpoint or a task file, strictly.

    MMPretrain's ``get_model`` only warns of tensors that do not fit.

    Args:
        config: A config, or its path.
        checkpoint: Path or address of a checkpoint or task file.
        device: Device of the model.

    Returns:
        The classifier in ``eval()``, as ``get_model`` returns it.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the checkpoint does not fit.
    """
    if not isinstance(config, Config):
        if not Path(config).is_file():
            raise FileNotFoundError(f'no config at {Path(config).absolute()}')
        config = Config.fromfile(config)
    return _load(config, read_checkpoint(str(checkpoint)), device)


def classifier_of(
    task: Task, weights: str | None = None, device: Any = None
) -> BaseModel:
    """Build the classifier that a task file describes.

    Args:
        task: The task.
        weights: Path or address of the pre-trained weights; those of the task
            by default.
        device: Device of the model.

    Returns:
        The classifier in ``eval()``, as ``load_classifier`` returns it.

    Raises:
        FileNotFoundError: If the weights are missing.
        ValueError: If the task names something that is not registered or
            does more than compute, its weights would have to be downloaded,
            or it does not fit them.
    """
    require_registered(task)
    require_small_encoder(task)
    model = dict(task.model, type='ImageClassifier')
    model['backbone'] = dict(
        task.model['backbone'], init_cfg=frozen_init(task, weights)
    )
    dataset = dict(type='CustomDataset', pipeline=task.pipeline)
    config = Config(
        dict(
            model=model,
            data_preprocessor=task.data_preprocessor,
            test_dataloader=dict(dataset=dataset),
        )
    )
    try:
        return _load(config, to_checkpoint(task), device)
    except (FileNotFoundError, UnsafeCheckpointError):  # of the weights
        raise
    except Exception as error:  # a config can be wrong in any way
        raise ValueError(
            f'the task describes a classifier that cannot be built: {error}'
        ) from error


def _load(config: Config, content: dict, device: Any) -> BaseModel:
    if config.get('test_dataloader') is None:
        # The host asks what is there for its class names.
        config = copy.deepcopy(config)
        config.pop('test_dataloader', None)
    model = get_model(config, device=device)
    load_state(model, content)
    meta = content.get('meta') or {}
    if 'dataset_meta' in meta:
        model._dataset_meta = meta['dataset_meta']
    return model


def frozen_init(task: Task, weights: str | None = None) -> dict:
    """Return the ``init_cfg`` of a task's backbone.

    Args:
        task: The task.
        weights: Path or address to read instead of the task's own.

    Raises:
        ValueError: If the task names none, or one that would have to be
            downloaded: a file does not decide what this machine fetches.
    """
    if weights is not None:
        return dict(type='Pretrained', checkpoint=weights)
    init_cfg = task.model['backbone'].get('init_cfg')
    checkpoint = isinstance(init_cfg, dict) and init_cfg.get('checkpoint')
    if not isinstance(checkpoint, str):
        raise ValueError(
            'the task does not say where its pre-trained weights are; give '
            'their path or address (weights=..., --weights ...). The sha256 '
            f'of their frozen tensors is {task.frozen_sha256}.'
        )
    if is_remote(checkpoint) and not is_stored(checkpoint):
        raise ValueError(
            f'the pre-trained weights of the task are at {checkpoint}; to '
            'download them give that address (weights=..., --weights ...), '
            'or the path of a local copy.'
        )
    return dict(type='Pretrained', checkpoint=checkpoint)


def require_registered(task: Task) -> None:
    """Refuse a task whose config names anything but parts that compute.

    mmengine imports whatever a dotted ``type`` names, and some of MMPretrain's
    classes read files or the network; a file must not decide that.

    Raises:
        ValueError: If a ``type`` is no plain name in MMPretrain's registries,
            is one of the host's classes that do more than compute, a number
            is absurd, or the head does not fit the task's tensors.
    """
    for name in ('backbone', 'head'):
        if not isinstance(task.model.get(name), dict):
            raise ValueError(f'the task describes no model.{name}.')
    described: tuple[tuple[Registry, Any, int], ...] = (
        (MODELS, task.model, MAX_SIZE),
        (MODELS, task.data_preprocessor, MAX_SIZE),
        (TRANSFORMS, task.pipeline, MAX_PIXELS),
    )
    for registry, cfg, limit in described:
        for part in _dicts(cfg):
            for key, value in part.items():
                _require_modest(key, value, limit)
            if 'type' in part:
                _require_type(registry, part['type'])
    _require_head(task)


def _require_modest(key: str, value: Any, limit: int) -> None:
    if key.startswith('_'):
        raise ValueError(
            f'the task sets {key!r}, by which configs reach other packages.'
        )
    limit = LIMITS.get(key, limit)
    for number in value if isinstance(value, list) else [value]:
        # Not >: NaN is no size.
        if isinstance(number, (int, float)) and not abs(number) <= limit:
            raise ValueError(
                f'the task sets {key}={value!r:.40}, and the largest number '
                f'there is {limit:,}.'
            )


def _require_type(registry: Registry, name: Any) -> None:
    found = (
        registry.get(name)
        if isinstance(name, str) and name.isidentifier()
        else None
    )
    if found is None:
        raise ValueError(
            f'the task asks for type={name!r}, which is not in the '
            f'registry {registry.name!r}; import the package that '
            'registers it, if you trust it.'
        )
    module = str(getattr(found, '__module__', None)) + '.'
    is_host = module.startswith(HOSTS)
    if is_host and (not module.startswith(COMPUTING) or name in READING):
        raise ValueError(
            f'the task asks for type={name!r} ({module}), which does more '
            'than compute; a task may name heads, necks, losses, BEiT and '
            'transforms.'
        )


def _dicts(cfg: Any) -> Iterator[dict[str, Any]]:
    """Find each dict that describes a part."""
    children: list = cfg if isinstance(cfg, list) else []
    if isinstance(cfg, dict):
        yield cfg
        # mmengine's initialisers are never run here.
        children = [cfg[key] for key in cfg if key != 'init_cfg']
    for child in children:
        yield from _dicts(child)


def _require_head(task: Task) -> None:
    head = _build_empty('model.head', task.model)
    difference = compare_states(
        {f'head.{name}': tensor for name, tensor in head.items()},
        {k: v for k, v in task.tensors.items() if k.startswith('head.')},
    )
    if difference:
        raise ValueError(
            'the head that the task describes does not fit its tensors '
            f'(- missing, + unexpected, ! wrong):\n  {difference}'
        )


def require_small_encoder(task: Task) -> None:
    """Look at the size of a task's encoder before its memory is taken.

    Raises:
        ValueError: If it cannot be built, or is larger than any BEiT v2.
    """
    encoder = _build_empty('model.backbone.encoder', task.model['backbone'])
    count = sum(tensor.numel() for tensor in encoder.values())
    if count > MAX_PARAMETERS:
        raise ValueError(
            f'the task describes an encoder of {count:,} numbers; the largest '
            f'that is built is {MAX_PARAMETERS:,}.'
        )


def _build_empty(name: str, parent: dict[str, Any]) -> dict[str, Tensor]:
    """Build a part on torch's device ``meta``, which takes no memory."""
    cfg = parent.get(name.rpartition('.')[2])
    if not isinstance(cfg, dict):
        raise ValueError(f'the task describes no {name}: {cfg!r:.80}')
    scope = DefaultScope.overwrite_default_scope('mmpretrain')
    try:
        with torch.device('meta'), scope:
            cfg = {k: v for k, v in cfg.items() if k != 'init_cfg'}
            return MODELS.build(cfg).state_dict()
    except Exception as error:  # a config can be wrong in any way
        raise ValueError(
            f'the task describes a {name} that cannot be built: {error}'
        ) from error
