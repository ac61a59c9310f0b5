"""What a task may describe: parts of MMPretrain by their names, and data.

Whoever reads a task file builds what it names, so that nothing else has a
place there.
"""

import re
from types import NoneType
from typing import TYPE_CHECKING, Any

from mmengine.model import BaseDataPreprocessor
from mmengine.registry import Registry
from mmpretrain.models import BEiTViT, ClsHead
from mmpretrain.registry import MODELS, TRANSFORMS

from ..models import AdaptedBackbone, Readout, Tuning

if TYPE_CHECKING:
    from .task import Task

# Types of the fields of a task.
FIELDS: dict[str, Any] = {
    **dict.fromkeys(('backbone', 'head', 'data_preprocessor'), dict),
    **dict.fromkeys(('frozen_sha256', 'version'), str),
    'pipeline': list,
    'weights': (str, NoneType),
}
# Where the activations and norms come from that an encoder or a head names.
LAYERS = ('torch.nn.', 'mmcv.cnn.bricks.')
# Transforms that call whatever function of another package is named.
CALLING = ('Albu', 'Albumentations')
# MMPretrain registers the transforms of torchvision behind this prefix.
TORCHVISION = 'torchvision/'


def validate(task: 'Task') -> None:
    """Check that a task describes what a task may describe.

    Raises:
        ValueError: If a part is missing, is not in MMPretrain's registries
            under a plain name, or is of a class that has no place there; or
            if the head has not one output for each class.
    """
    for name, kind in FIELDS.items():
        if not isinstance(getattr(task, name), kind):
            raise ValueError(
                f'the {name} of the task must be {kind}: '
                f'{getattr(task, name)!r:.80}'
            )
    if not re.fullmatch('[0-9a-f]{64}', task.frozen_sha256):
        raise ValueError(f'{task.frozen_sha256!r:.80} is not a sha256.')
    backbone = dict(task.backbone)
    encoder = backbone.pop('encoder', None)
    preprocessor = {'type': 'ClsDataPreprocessor', **task.data_preprocessor}
    for name, part, base in (
        ('backbone', backbone, AdaptedBackbone),
        ('backbone.encoder', encoder, BEiTViT),
        ('head', task.head, ClsHead),
        ('data_preprocessor', preprocessor, BaseDataPreprocessor),
    ):
        if not isinstance(part, dict):
            raise ValueError(f'the task describes no {name}: {part!r:.80}')
        _require_type(name, MODELS, part.get('type'), base)
        options = {k: v for k, v in part.items() if k != 'type'}
        _require_plain(name, MODELS, options)
    _require_plain('pipeline', TRANSFORMS, task.pipeline)
    count = task.head.get('num_classes', len(task.classes))
    if count != len(task.classes):
        raise ValueError(
            f'the head of the task has num_classes={count!r:.40}, and it '
            f'names {len(task.classes)} classes.'
        )


def _require_plain(name: str, registry: Registry, value: Any) -> None:
    """Check whatever describes a part, in a dict or in lists of dicts."""
    if isinstance(value, (list, tuple)):
        for child in value:
            _require_plain(name, registry, child)
    if not isinstance(value, dict):
        return
    for key, child in value.items():
        if str(key).startswith('_'):
            raise ValueError(
                f'the task sets {key!r} in its {name}, by which configs reach '
                'other packages.'
            )
        # MMPretrain evaluates it as code.
        if key == 'dtype' and not str(child).isidentifier():
            raise ValueError(
                f'the task sets dtype={child!r:.40} in its {name}, which must '
                'be the name of a type of numbers.'
            )
        if key == 'type':
            _require_type(name, registry, child)
        else:
            _require_plain(name, registry, child)


def _require_type(
    name: str, registry: Registry, kind: Any, base: type | None = None
) -> None:
    """Check a name; without a base it is of a transform or a small part."""
    found: Any = None
    if isinstance(kind, str) and kind.removeprefix(TORCHVISION).isidentifier():
        found = registry.get(kind)
    if found is None:
        raise ValueError(
            f'the task asks for type={kind!r:.80} in its {name}, which is not '
            f'in the registry {registry.name!r}; import the package that '
            'registers it, if you trust it.'
        )
    if registry is TRANSFORMS:
        is_allowed = getattr(found, '__name__', None) not in CALLING
    else:
        parts = base or (Tuning, Readout)
        is_allowed = isinstance(found, type) and issubclass(found, parts)
        is_layer = str(found.__module__).startswith(LAYERS)
        is_allowed = is_allowed or (base is None and is_layer)
    if not is_allowed:
        raise ValueError(
            f'the task asks for type={kind!r} in its {name}, which has no '
            'place there: a task has a frozen backbone, a BEiT, a head of '
            'ClsHead, and transforms that compute and do no more.'
        )
