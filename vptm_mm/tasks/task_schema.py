"""What a task may describe: who writes a task file and who reads one ask here.

A description is data. It names registered parts that compute, by plain names;
nothing is imported, read or fetched on its behalf.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from mmengine.registry import DefaultScope, Registry
from mmpretrain.registry import MODELS, TRANSFORMS

from ..nn import compare_states, module_settings
from .task_file import Task, plain

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
# MMPretrain registers the transforms of torchvision behind this prefix.
TORCHVISION = 'torchvision/'


def validate(task: Task) -> None:
    """Build what a task describes, without memory for its tensors.

    Raises:
        ValueError: If a ``type`` is not a plain name in MMPretrain's
            registries or belongs to a class that does more than compute, if
            a part cannot be built, or the head does not fit the tensors.
    """
    try:
        for registry, cfg in (
            (MODELS, task.model),
            (MODELS, task.data_preprocessor),
            (TRANSFORMS, task.pipeline),
        ):
            for part in _dicts(cfg):
                _require_plain(registry, part)
    except RecursionError as error:
        raise ValueError('no usable task: it is nested too deep.') from error
    head = _build('model.head', MODELS, task.model.get('head')).state_dict()
    difference = compare_states(
        {f'head.{name}': tensor for name, tensor in head.items()},
        {k: v for k, v in task.tensors.items() if k.startswith('head.')},
    )
    if difference:
        raise ValueError(
            'the head that the task describes does not fit its tensors '
            f'(- missing, + unexpected, ! wrong):\n  {difference}'
        )
    encoder_settings(task)
    preprocessor = {'type': 'ClsDataPreprocessor', **task.data_preprocessor}
    _build('data_preprocessor', MODELS, preprocessor)
    for step in task.pipeline:
        _build('pipeline', TRANSFORMS, step)


def encoder_settings(task: Task) -> dict[str, str]:
    """Return what the encoder of a task computes with, beside its tensors.

    With the digest of the frozen tensors this is the identity of the encoder.

    Raises:
        ValueError: As ``validate``.
    """
    cfg = task.model.get('backbone', {}).get('encoder')
    for part in _dicts(cfg):
        _require_plain(MODELS, part)
    return _settings_of(json.dumps(plain(cfg)))


@lru_cache(maxsize=8)  # the tasks of a pool have one encoder
def _settings_of(cfg: str) -> dict[str, str]:
    encoder = json.loads(cfg)
    if isinstance(encoder, dict):
        # As a frozen backbone does.
        encoder['final_norm'] = True
    return module_settings(_build('model.backbone.encoder', MODELS, encoder))


def _require_plain(registry: Registry, part: dict[str, Any]) -> None:
    for key, value in part.items():
        if key.startswith('_'):
            raise ValueError(
                f'the task sets {key!r}, by which configs reach other '
                'packages.'
            )
        # MMPretrain evaluates it as code.
        if key == 'dtype' and not str(value).isidentifier():
            raise ValueError(
                f'the task sets dtype={value!r:.40}, which must be the name '
                'of a type of numbers.'
            )
    if 'type' in part:
        _require_type(registry, part['type'])


def _require_type(registry: Registry, name: Any) -> None:
    found = None
    if isinstance(name, str) and name.removeprefix(TORCHVISION).isidentifier():
        found = registry.get(name)
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
    children: list = list(cfg) if isinstance(cfg, (list, tuple)) else []
    if isinstance(cfg, dict):
        yield cfg
        # mmengine's initialisers are never run here.
        children = [cfg[key] for key in cfg if key != 'init_cfg']
    for child in children:
        yield from _dicts(child)


def _build(name: str, registry: Registry, cfg: Any) -> Any:
    """Build a part; a model on the device ``meta``, which takes no memory."""
    if not isinstance(cfg, dict):
        raise ValueError(f'the task describes no {name}: {cfg!r:.80}')
    scope = DefaultScope.overwrite_default_scope('mmpretrain')
    device = torch.device('meta' if registry is MODELS else 'cpu')
    try:
        with device, scope:
            return registry.build(
                {k: v for k, v in cfg.items() if k != 'init_cfg'}
            )
    except Exception as error:  # a config can be wrong in any way
        raise ValueError(
            f'the task describes a {name} that cannot be built: {error}'
        ) from error
