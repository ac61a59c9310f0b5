"""What a task is in a state dict, and how mmengine reads task files.

mmengine finds a loader by the name of a file: importing this module teaches it
task files, so that ``test``, ``load_from``, ``resume`` and the inferencer take
them where they take checkpoints. A task's state dict has no frozen tensors but
their digest; ``FrozenBEiT`` compares it with its own.
"""

from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader
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
    """Read a task file, or a file of this package, as a checkpoint."""
    path = fetch(filename)
    if path.suffix != SUFFIX:
        return torch.load(path, map_location, weights_only=True)
    task = read_task(path)
    logger = MMLogger.get_current_instance()
    logger.info(
        f'Task file {path}: {len(task.classes)} classes, '
        f'{task.num_bytes / 1e3:,.1f} kB, made by vptm_mm {task.version}.'
    )
    return to_checkpoint(task)


def to_checkpoint(task: Task) -> dict[str, Any]:
    """Return a task as mmengine expects a checkpoint.

    It has no state of an optimizer: a run that is resumed from it starts at
    epoch 0.
    """
    digest = bytearray.fromhex(task.frozen_sha256)
    return dict(
        state_dict={
            **task.tensors,
            FROZEN_SHA256: torch.frombuffer(digest, dtype=torch.uint8),
        },
        meta=dict(epoch=0, iter=0, dataset_meta=dict(classes=task.classes)),
        message_hub=dict(log_scalars={}, runtime_info={}, resumed_keys={}),
    )
