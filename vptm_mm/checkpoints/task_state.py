"""From classifiers to tasks and back, through MMPretrain's own machinery.

mmengine finds a loader by the name of a file: importing this module teaches it
task files, so that ``test``, ``load_from``, ``resume`` and the inferencer take
them where they take checkpoints. A task's state dict has no frozen tensors but
their digest; ``FrozenBEiT`` compares it with its own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader
from mmpretrain import get_model
from torch import Tensor

from ..bricks import compare_states, tuned_parameters
from .checkpoint_file import PACKAGED, fetch
from .task_file import SUFFIX, Task, read_task

# The entry of a state dict that stands for all frozen tensors: 32 bytes.
FROZEN_SHA256 = 'backbone.frozen_sha256'


def task_state(model: BaseModel) -> dict[str, Tensor]:
    """Return what a task adds to the frozen tensors, and their digest.

    Args:
        model: A classifier on a ``FrozenBEiT``.

    Raises:
        ValueError: If its backbone is none, has no weights yet, or tunes what
            was pre-trained.
    """
    backbone = getattr(model, 'backbone', None)
    digest = getattr(backbone, 'frozen_sha256', None)
    if backbone is None or digest is None:
        raise ValueError(
            f'{type(backbone).__name__} is no frozen backbone with '
            'pre-trained weights; a task belongs to one, as VPTMBackbone.'
        )
    frozen = tuple(f'backbone.{name}.' for name in backbone.frozen_children)
    tuned = [n for n in tuned_parameters(model) if n.startswith(frozen)]
    if tuned:
        raise ValueError(
            f'{type(backbone).__name__} tunes {len(tuned)} tensors of the '
            f'pre-training, {tuned[0]} first; a task holds what is added to '
            'a frozen backbone. Keep the checkpoint.'
        )
    state = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith((*frozen, 'data_preprocessor.'))
    }
    digest_bytes = torch.frombuffer(
        bytearray.fromhex(digest), dtype=torch.uint8
    )
    return {**state, FROZEN_SHA256: digest_bytes}


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
    model_cfg.pop('data_preprocessor', None)
    return Task(
        tensors={k: v.detach().cpu().clone() for k, v in state.items()},
        model=model_cfg,
        classes=tuple(classes),
        data_preprocessor=_plain(
            cfg.model.get('data_preprocessor')
            or cfg.get('data_preprocessor')
            or {}
        ),
        pipeline=_test_pipeline(cfg),
        frozen_sha256=digest,
    )


def _plain(cfg: Any) -> Any:
    """Turn config classes into dicts and lists."""
    if isinstance(cfg, Mapping):
        return {key: _plain(value) for key, value in cfg.items()}
    if isinstance(cfg, (list, tuple, range)):
        return [_plain(value) for value in cfg]
    return cfg


def _test_pipeline(cfg: Config) -> list[dict]:
    for name in ('test_dataloader', 'val_dataloader'):
        dataset = (cfg.get(name) or {}).get('dataset')
        while dataset is not None:  # wrappers hold a data set
            if dataset.get('pipeline'):
                return _plain(dataset['pipeline'])
            dataset = dataset.get('dataset')
    raise ValueError(
        'the config has no test_dataloader.dataset.pipeline: a task file says '
        'how a test image is prepared.'
    )


def require_fit(model: BaseModel, checkpoint: dict) -> None:
    """Compare a checkpoint or a task with the classifier, before loading.

    Raises:
        ValueError: If a tensor is missing (``-``), unexpected (``+``) or of
            another shape (``!``).
    """
    state = checkpoint.get('state_dict', checkpoint)
    # The host strips this prefix, and derives the preprocessor's buffers.
    state = {k.removeprefix('module.'): v for k, v in state.items()}
    state = {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith('data_preprocessor.')
    }
    is_task = FROZEN_SHA256 in state
    difference = compare_states(
        task_state(model) if is_task else model.state_dict(), state
    )
    if difference:
        raise ValueError(
            f'the {"task" if is_task else "checkpoint"} does not fit the '
            'model of the config (- missing, + unexpected, ! wrong):\n'
            f'  {difference}\n'
            'Use the config that it was trained with; it is in its work dir. '
            'Pre-trained weights go to model.backbone.init_cfg.checkpoint.'
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
    model = get_model(config, device=device)
    content = read_checkpoint(str(checkpoint))
    require_fit(model, content)
    state = content.get('state_dict', content)
    model.load_state_dict(
        {k.removeprefix('module.'): v for k, v in state.items()},
        strict=False,  # buffers of the preprocessor are derived
    )
    meta = content.get('meta') or {}
    if 'dataset_meta' in meta:
        model._dataset_meta = meta['dataset_meta']
    return model


def read_checkpoint(checkpoint: str) -> dict:
    """Read a checkpoint or task file as mmengine reads checkpoints.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a task file is damaged.
    """
    path = Path(checkpoint).expanduser()
    if '://' not in checkpoint and not path.is_file():
        raise FileNotFoundError(f'no checkpoint at {path.absolute()}')
    return CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')


@CheckpointLoader.register_scheme(
    prefixes=[rf'.*\{SUFFIX}$', rf'https?://.*\{SUFFIX}$', PACKAGED]
)
def load_from_package_or_task(
    filename: str, map_location: Any = None
) -> dict[str, Any]:
    """Read a task file, or a file of this package, as a checkpoint.

    A task has no state of an optimizer: a run that is resumed from it starts
    at epoch 0.
    """
    path = fetch(filename)
    if path.suffix != SUFFIX:
        return torch.load(path, map_location, weights_only=True)
    task = read_task(path)
    logger = MMLogger.get_current_instance()
    logger.info(
        f'Task file {path}: {len(task.classes)} classes, '
        f'{task.num_bytes / 1e3:,.1f} kB, made by vptm_mm {task.version}.'
    )
    digest = bytearray.fromhex(task.frozen_sha256)
    return dict(
        state_dict={
            **task.tensors,
            FROZEN_SHA256: torch.frombuffer(digest, dtype=torch.uint8),
        },
        meta=dict(epoch=0, iter=0, dataset_meta=dict(classes=task.classes)),
        message_hub=dict(log_scalars={}, runtime_info={}, resumed_keys={}),
    )
