"""From classifiers to tasks and back."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path, PureWindowsPath
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmpretrain import get_model
from mmpretrain.registry import MODELS, TRANSFORMS
from torch import nn

from ..host import dataset_meta, set_dataset_meta
from ..model_index import config_path
from ..weights.checkpoint_file import (
    PACKAGED_FILES,
    SUFFIX,
    UnsafeCheckpointError,
)
from ..weights.download import is_remote, is_stored
from ..weights.identity import OtherEncoderError
from ..weights.preprocessing import warn_of_preprocessing
from .state import (
    IDENTITY_ENTRIES,
    SHA256_ENTRY,
    load_state,
    read_checkpoint,
    task_state,
    to_checkpoint,
)
from .task import Task, plain, read_task, with_tuples, without_training

CHECKPOINTS = ('.pth', '.pt', '.ckpt')


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
        ValueError: If the number of names is not that of the head, the config
            has no test images, or a task file cannot hold what it describes.
    """
    state = task_state(model)
    if classes is None:
        classes = dataset_meta(model).get('classes')
    if classes is None:
        classes = [str(i) for i in range(model.head.num_classes)]
    model_cfg = plain(cfg.model)
    if model_cfg.get('neck'):
        raise ValueError(
            f'a task has no neck, and the config names {model_cfg["neck"]}.'
        )
    preprocessor = model_cfg.get('data_preprocessor') or plain(
        cfg.get('data_preprocessor') or {}
    )
    backbone = model_cfg['backbone']
    init_cfg = backbone.pop('init_cfg', None) or {}
    task = Task(
        tensors={
            name: tensor.detach().cpu().clone()
            for name, tensor in state.items()
            if name not in IDENTITY_ENTRIES
        },
        backbone=backbone,
        head=without_training(model_cfg['head']),
        classes=tuple(str(name) for name in classes),
        data_preprocessor=without_training(preprocessor),
        pipeline=prediction_pipeline(cfg),
        frozen_sha256=bytes(state[SHA256_ENTRY].tolist()).hex(),
        weights=init_cfg.get('checkpoint'),
    )
    build_preprocessing(task)
    model.backbone.encoder.require(task.identity)
    return task


def build_preprocessing(task: Task) -> tuple[list[Any], nn.Module]:
    """Build the transforms of a test image, and the data preprocessor."""
    try:
        # Transforms build others in the current scope.
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            steps = [TRANSFORMS.build(step) for step in task.pipeline]
            return steps, MODELS.build(
                {'type': 'ClsDataPreprocessor', **task.data_preprocessor}
            )
    except Exception as error:  # a config can be wrong in any way
        raise ValueError(
            f'the task describes a preprocessing that cannot be built: {error}'
        ) from error


def prediction_pipeline(cfg: Config) -> list[dict]:
    """Return the transforms of a test image that a config names."""
    for name in ('test_dataloader', 'val_dataloader'):
        dataset = (cfg.get(name) or {}).get('dataset')
        found = [
            with_tuples(plain(one['pipeline']))
            for one in inner_datasets(dataset)
            if one.get('pipeline')
        ]
        if any(pipeline != found[0] for pipeline in found):
            raise ValueError(
                f'the data sets of {name} prepare their images in different '
                'ways, and a task has one way; give all of them the same '
                'pipeline.'
            )
        if found:
            return found[0]
    raise ValueError(
        'the config has no test_dataloader.dataset.pipeline, which says how a '
        'test image is prepared.'
    )


def file_pipeline(cfg: Config) -> list[dict]:
    """Return ``prediction_pipeline`` for image files.

    Data sets that hold their images in memory do not load them.
    """
    steps = prediction_pipeline(cfg)
    names = [str(step['type']).rpartition('.')[2] for step in steps]
    if not any(name.startswith('Load') for name in names):
        steps.insert(0, dict(type='LoadCheckedImage'))
    return steps


def inner_datasets(dataset: Any) -> Iterator[Any]:
    """Find the data sets that wrappers hold, one or several, in a config."""
    if not isinstance(dataset, Mapping):
        return
    held = [dataset.get('dataset'), *(dataset.get('datasets') or ())]
    if 'pipeline' in dataset or not any(held):
        yield dataset
        return
    for inner in held:
        yield from inner_datasets(inner)


def load_classifier(
    source: Task | str | Path | Config,
    checkpoint: str | Path | None = None,
    *,
    weights: str | None = None,
    device: Any = 'auto',
) -> BaseModel:
    """Build a classifier and load its weights, strictly.

    MMPretrain's ``get_model`` only warns of tensors that do not fit.

    Args:
        source: A task or a task file; or, with a checkpoint, a config, its
            path, or its name as ``vptm configs`` lists it.
        checkpoint: Checkpoint or task file for a config.
        weights: Of a task, path or address of the pre-trained weights; those
            that it names by default.
        device: As in torch; ``'auto'`` for a GPU if there is one.

    Returns:
        MMPretrain's ``ImageClassifier`` in ``eval()``.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the weights do not fit, would have to be downloaded, or
            the task describes a classifier that cannot be built.
    """
    if checkpoint is not None:
        if weights is not None:
            raise ValueError(
                f'weights={weights!r} goes with a task; a config names its '
                'own.'
            )
        if not isinstance(source, Config):
            source = Config.fromfile(config_path(str(source)))
        return _load(source, read_checkpoint(str(checkpoint)), device)
    task = source if isinstance(source, Task) else read_task(source)
    config = task_config(task, weights)
    try:
        return _load(config, to_checkpoint(task), device)
    # Of the weights.
    except (FileNotFoundError, OtherEncoderError, UnsafeCheckpointError):
        raise
    except Exception as error:  # a config can be wrong in any way
        raise ValueError(
            f'the task describes a classifier that cannot be built: {error}'
        ) from error


def task_config(task: Task, weights: str | None = None) -> Config:
    """Return the config of the classifier that a task describes.

    Args:
        task: The task.
        weights: As in ``load_classifier``.
    """
    return Config(
        dict(
            model=dict(
                type='ImageClassifier',
                backbone=dict(
                    task.backbone, init_cfg=frozen_init(task, weights)
                ),
                head=task.head,
            ),
            data_preprocessor=task.data_preprocessor,
            test_dataloader=dict(
                dataset=dict(type='CustomDataset', pipeline=task.pipeline)
            ),
        )
    )


def config_of(path: str | Path) -> Config:
    """Return the config of a task file, or of a checkpoint in its work dir."""
    if str(path).endswith(SUFFIX):
        config = task_config(read_task(path))
        # It says how images are prepared, and has none.
        config.val_dataloader = config.pop('test_dataloader')
        return config
    path = Path(path)
    configs = sorted(path.absolute().parent.glob('*.py'))
    if not configs:
        raise FileNotFoundError(
            f'no config beside {path.absolute()}; take the checkpoint in its '
            'work dir, name its config, or take a task file.'
        )
    if len(configs) > 1:
        raise ValueError(
            f'{path.absolute().parent} holds several configs, '
            f'{", ".join(one.name for one in configs)}; name the one of '
            f'{path.name}, or take a task file.'
        )
    return Config.fromfile(configs[0])


def open_task(path: str | Path) -> Task:
    """Read a task file, or make the task of a checkpoint in its work dir."""
    if Path(path).suffix not in CHECKPOINTS or not Path(path).is_file():
        return read_task(path)
    config = config_of(path)
    return make_task(load_classifier(config, path, device='cpu'), config)


def _load(config: Config, content: dict, device: Any) -> BaseModel:
    if config.get('test_dataloader') is None:
        # The host asks what is there for its class names.
        config = copy.deepcopy(config)
        config.pop('test_dataloader', None)
    device = get_device() if device == 'auto' else device
    model = get_model(config, device=device)
    load_state(model, content)
    warn_of_preprocessing(model.backbone, model.data_preprocessor)
    meta = content.get('meta') or {}
    if 'dataset_meta' in meta:
        set_dataset_meta(model, meta['dataset_meta'])
    return model


def frozen_init(task: Task, weights: str | None = None) -> dict:
    """Return the ``init_cfg`` of a task's backbone.

    Args:
        task: The task.
        weights: Path or address to read instead of the task's own.
    """
    if weights is not None:
        return dict(type='Pretrained', checkpoint=weights)
    checkpoint = task.weights
    if checkpoint is None:
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
    if '://' not in checkpoint:
        checkpoint = str(_find_weights(task, checkpoint))
    return dict(type='Pretrained', checkpoint=checkpoint)


def _find_weights(task: Task, checkpoint: str) -> Path:
    """Find the weights that a task names by a path of another machine."""
    name = PureWindowsPath(checkpoint).name  # behind / and \\
    beside = task.path.parent if task.path else Path()
    stored = Path(torch.hub.get_dir()) / 'checkpoints'
    places = [
        *(Path(checkpoint).expanduser(), beside / checkpoint),
        *(Path(name), beside / name, PACKAGED_FILES / name),
        *chain(stored.glob(name), stored.glob(f'*/{name}')),
    ]
    for place in places:
        if place.is_file():
            return place.resolve()
    raise FileNotFoundError(
        f'the pre-trained weights of the task, {checkpoint}, are neither '
        'there nor in the working folder, beside the task file, in '
        f'{stored} or in this package (frozen tensors of sha256 '
        f'{task.frozen_sha256}); give their path by --weights PATH '
        '(weights=... in Python).'
    )
