"""From classifiers to tasks and back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseModel
from mmpretrain import get_model
from mmpretrain.registry import MODELS, TRANSFORMS

from .download import is_remote, is_stored
from .task_file import Task
from .task_state import (
    FROZEN_SHA256,
    read_checkpoint,
    require_fit,
    task_state,
    to_checkpoint,
)


def make_task(
    model: BaseModel, cfg: Config, classes: Sequence[str] | None
) -> Task:
    """Take the task out of a classifier.

    Args:
        model: The classifier.
        cfg: Its config; ``model``, ``data_preprocessor`` and the pipeline of
            the test images are read.
        classes: Names of the classes; None to number them.

    Raises:
        ValueError: If the number of names is not that of the head, or the
            config has no test images.
    """
    num_classes = model.head.num_classes
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
        model=model_cfg,
        classes=tuple(classes),
        data_preprocessor=_plain(preprocessor or {}),
        pipeline=prediction_pipeline(cfg),
        frozen_sha256=digest,
    )


def _plain(cfg: Any) -> Any:
    """Turn the config's own classes into dicts and lists."""
    if isinstance(cfg, Mapping):
        return {key: _plain(value) for key, value in cfg.items()}
    if isinstance(cfg, (list, tuple, range)):
        return [_plain(value) for value in cfg]
    return cfg


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
        ValueError: If the task names something that is not registered, its
            weights would have to be downloaded, or it does not fit them.
    """
    require_registered(task)
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
    return _load(config, to_checkpoint(task), device)


def _load(config: Config, content: dict, device: Any) -> BaseModel:
    model = get_model(config, device=device)
    require_fit(model, content)
    state = content.get('state_dict', content)
    model.load_state_dict(
        {k.removeprefix('module.'): v for k, v in state.items()},
        strict=False,  # the preprocessor's buffers are derived
    )
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
    checkpoint = (init_cfg or {}).get('checkpoint')
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
    """Refuse a task whose config names anything but registered parts.

    mmengine imports whatever a dotted ``type`` names; a file must not decide
    what is imported.

    Raises:
        ValueError: If a ``type`` is no plain name in MMPretrain's registries,
            or the model is no classifier with backbone and head.
    """
    for part in ('backbone', 'head'):
        if not isinstance(task.model.get(part), dict):
            raise ValueError(f'the task describes no model.{part}.')
    allowed = [(MODELS, task.model), (TRANSFORMS, task.pipeline)]
    allowed.append((MODELS, task.data_preprocessor))
    for registry, cfg in allowed:
        for name in _types(cfg):
            if not isinstance(name, str) or not (
                name.isidentifier() and registry.get(name)
            ):
                raise ValueError(
                    f'the task asks for type={name!r}, which is not in the '
                    f'registry {registry.name!r}; import the package that '
                    'registers it, if you trust it.'
                )


def _types(cfg: Any) -> list:
    if isinstance(cfg, Mapping):
        own = [cfg['type']] if 'type' in cfg else []
        return own + [
            name
            for key, value in cfg.items()
            if key != 'init_cfg'  # mmengine's initialisers; never run here
            for name in _types(value)
        ]
    if isinstance(cfg, list):
        return [name for value in cfg for name in _types(value)]
    return []
