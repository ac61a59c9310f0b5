"""What a task is in a state dict, and how checkpoints and task files are read.

A task's state dict has no frozen tensors but their digest; ``FrozenEncoder``
compares it with its own. mmengine finds a loader by the address of a file:
importing this module gives it one for ``vptm_mm://`` and for names that end in
``.safetensors``, so that ``load_from``, ``resume`` and the inferencer take
task files where they take checkpoints. All other addresses keep their loader.
"""

from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader
from torch import Tensor

from ..models import AdaptedBackbone
from ..nn import require_same_state
from ..weights.checkpoint_file import (
    PACKAGED,
    SUFFIX,
    TASK_KEY,
    fetch,
    is_safetensors,
    is_state_dict,
    load_file,
    read_safetensors,
    without_wrappers,
)
from ..weights.identity import ENCODER_SETTINGS, FROZEN_SHA256, Identity
from .task import Task, parse_task

# Entries of a classifier's state dict that identify the encoder: the digest of
# its tensors, 32 bytes, and what tensors do not show, as JSON.
SHA256_ENTRY = f'backbone.{FROZEN_SHA256}'
SETTINGS_ENTRY = f'backbone.{ENCODER_SETTINGS}'
IDENTITY_ENTRIES = (SHA256_ENTRY, SETTINGS_ENTRY)
OURS = (PACKAGED, 'http://', 'https://', 'file://')


def task_state(model: BaseModel) -> dict[str, Tensor]:
    """Return the tensors of a task, and the identity of its encoder.

    Args:
        model: A classifier on an ``AdaptedBackbone``.

    Raises:
        ValueError: If its backbone is another one, has no weights yet, or
            tunes what was pre-trained.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, AdaptedBackbone):
        raise ValueError(
            f'{type(backbone).__name__} is not a frozen backbone; a task '
            'belongs to one, as VPTMBackbone.'
        )
    identity = backbone.identity
    if identity is None:
        raise ValueError(
            f'{type(backbone).__name__} has no pre-trained weights yet, or '
            'tunes them; a task holds what is added to frozen ones. Set '
            "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=...), "
            'or keep the checkpoint.'
        )
    frozen = tuple(f'backbone.{name}.' for name in backbone.frozen_children)
    state = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith((*frozen, 'data_preprocessor.'))
    }
    return {**state, **_named(identity)}


def _named(identity: Identity) -> dict[str, Tensor]:
    return {f'backbone.{k}': v for k, v in identity.to_tensors().items()}


def require_fit(model: BaseModel, checkpoint: dict) -> None:
    """Compare a checkpoint or a task with the classifier, before loading.

    Raises:
        ValueError: If a tensor is missing (``-``), unexpected (``+``) or of
            another shape (``!``).
    """
    state = without_wrappers(checkpoint.get('state_dict', checkpoint))
    state = {
        name: tensor
        for name, tensor in state.items()
        # The host derives the preprocessor's buffers.
        if not name.startswith('data_preprocessor.')
        # The backbone compares it, and says where it differs.
        and name != SETTINGS_ENTRY
    }
    is_task = SHA256_ENTRY in state
    wanted = dict(task_state(model) if is_task else model.state_dict())
    wanted.pop(SETTINGS_ENTRY, None)
    require_same_state(
        wanted,
        state,
        f'the {"task" if is_task else "checkpoint"} does not fit the model '
        'of the config',
        'Use the config that it was trained with; it is in its work dir. '
        'Pre-trained weights go to model.backbone.init_cfg.checkpoint.',
    )


def load_state(model: BaseModel, checkpoint: dict) -> None:
    """Load a checkpoint or a task into the classifier, all of it."""
    require_fit(model, checkpoint)
    state = without_wrappers(checkpoint.get('state_dict', checkpoint))
    # Not strictly: the preprocessor's buffers are derived.
    model.load_state_dict(state, strict=False)


def read_checkpoint(checkpoint: str, map_location: Any = 'cpu') -> dict:
    """Read a checkpoint or a task file; no code in it is run.

    Args:
        checkpoint: A path, or an address. What is neither ``vptm_mm://``,
            ``http(s)://`` nor ``file://`` is left to mmengine.
        map_location: As in ``torch.load``.

    Raises:
        FileNotFoundError: If there is no such file.
        RuntimeError: If a download fails.
        ValueError: If it is unsafe, damaged or not a checkpoint.
    """
    path = Path(checkpoint).expanduser()
    if checkpoint.startswith(OURS):
        path = fetch(checkpoint)
    elif '://' in checkpoint:
        return CheckpointLoader.load_checkpoint(checkpoint, map_location)
    elif not path.is_file():
        raise FileNotFoundError(f'no checkpoint at {path.absolute()}')
    if not is_safetensors(path):
        content = load_file(path, map_location)
        if (
            not isinstance(content, dict)
            or not isinstance(content.get('meta', {}), dict)
            or not is_state_dict(content.get('state_dict', {}))
        ):
            raise ValueError(
                f"{path} holds no checkpoint: a dict with 'state_dict', from "
                'names to tensors, or a state dict.'
            )
        # mmengine runs this text, a config, when it resumes.
        content.get('meta', {}).pop('config', None)
        if 'state_dict' in content:
            content['state_dict'] = without_wrappers(content['state_dict'])
        elif is_state_dict(content):
            content = dict(state_dict=without_wrappers(content))
        return content
    tensors, metadata = read_safetensors(path)
    if TASK_KEY not in metadata:
        return dict(state_dict=without_wrappers(tensors))
    task = parse_task(path, tensors, metadata)
    MMLogger.get_current_instance().info(
        f'Task file {path}: {len(task.classes)} classes, '
        f'{task.num_bytes / 1e3:,.1f} kB, made by vptm_mm {task.version}.'
    )
    return to_checkpoint(task)


# mmengine matches what it calls a prefix as a regular expression.
@CheckpointLoader.register_scheme([PACKAGED, rf'(?!.*://).*\{SUFFIX}$'])
def load_from_vptm_mm(filename: str, map_location: Any = None) -> dict:
    """Read a file of ours for mmengine, as ``read_checkpoint`` does."""
    return read_checkpoint(filename, map_location)


def to_checkpoint(task: Task) -> dict[str, Any]:
    """Return a task as mmengine expects a checkpoint.

    It has no state of an optimizer: a run that is resumed from it starts at
    epoch 0.
    """
    identity = _named(task.identity)
    return dict(
        state_dict={**task.tensors, **identity},
        meta=dict(epoch=0, iter=0, dataset_meta=dict(classes=task.classes)),
        message_hub=dict(log_scalars={}, runtime_info={}, resumed_keys={}),
    )
