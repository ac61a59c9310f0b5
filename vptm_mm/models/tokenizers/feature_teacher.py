"""A frozen model whose features describe patches.

Symbols: B batch; N patches, H = W of them along a side; E width of a feature.
"""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...nn import freeze
from ...weights.checkpoint_file import (
    fetch,
    read_module,
    read_tensors,
)
from ..backbone import AdaptedBackbone


@MODELS.register_module()
class FeatureTeacher(BaseModule):
    """Any backbone that gives a feature map, with weights that were loaded.

    ``BlockFeatures`` is the backbone of a previous round of pre-training. A
    backbone of MMPretrain needs ``init_cfg=dict(type='Pretrained',
    checkpoint=...)`` and an ``out_type`` that is a feature map;
    ``TIMMBackbone`` needs ``features_only=True`` and ``pretrained=True``, with
    ``pretrained_cfg_overlay=dict(file=...)`` for a file of one's own; its
    ``checkpoint_path`` does not go together with ``features_only``.

    Args:
        backbone: Its config; the last of its outputs is read.
        embed_dims: Width E of its features.
        grid_size: Patches along one side of what is to be described. A map of
            a multiple of it is averaged.

    Shape:
        - Input: images as the backbone takes them
        - Output: ``(B, grid_size * grid_size, embed_dims)``

    Raises:
        ValueError: If nothing says where the weights come from, if they lack
            some, or if the map has another shape.
    """

    def __init__(
        self, backbone: dict, embed_dims: int, grid_size: int
    ) -> None:
        super().__init__()
        self.backbone = _build_backbone(backbone)
        self.embed_dims = embed_dims
        self.grid_size = grid_size
        freeze(self.backbone)

    def train(self, mode: bool = True) -> 'FeatureTeacher':
        """Keep the teacher in eval."""
        super().train(mode)
        self.backbone.eval()
        return self

    def init_weights(self) -> None:
        """Keep the weights that were read when the teacher was built."""

    def apply(self, fn: Any) -> 'FeatureTeacher':
        """Keep initialisers out, which a parent's ``init_cfg`` names."""
        return self

    def describe(self, images: Tensor) -> Tensor:
        """Return the features of each patch, as tokenizers do."""
        return self(images)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        outputs = self.backbone(images)
        features = outputs[-1] if isinstance(outputs, tuple) else outputs
        side = features.shape[-1] if features.ndim == 4 else 0
        if (
            features.ndim != 4
            or features.shape[1] != self.embed_dims
            or features.shape[2] != side
            or side % self.grid_size
        ):
            raise ValueError(
                f'the teacher gives {tuple(features.shape)} for images of '
                f'{tuple(images.shape)}; expected (B, {self.embed_dims}, k * '
                f'{self.grid_size}, k * {self.grid_size}). Set embed_dims '
                "and grid_size, second_size in the pipeline, or the teacher's "
                "out_type='featmap'."
            )
        pooled = F.avg_pool2d(features, side // self.grid_size)
        return pooled.flatten(2).transpose(1, 2)  # (B, N, E)


def _build_timm(cfg: dict) -> nn.Module:
    """Build a backbone of timm, which takes any file: it is not strict.

    So the file must have all names of the whole model but its classifier.
    Weights that timm fetches are as it gives them.
    """
    overlay = cfg.get('pretrained_cfg_overlay') or {}
    if 'file' in overlay:
        import timm

        path = fetch(overlay['file'])
        wanted = timm.create_model(cfg['model_name'], num_classes=0)
        # Counts of batches, which old files lack, are not weights.
        names = [n for n, t in wanted.state_dict().items() if t.ndim]
        missing = sorted(set(names) - read_tensors(path)[0].keys())
        if missing:
            raise ValueError(
                f'{path} lacks {len(missing)} tensors of the teacher '
                f'{cfg["model_name"]}, such as {", ".join(missing[:5])}. '
                'Names in the file must be those of timm.'
            )
    return MODELS.build(cfg)


def _build_backbone(cfg: dict) -> nn.Module:
    """Build a backbone and load its weights, all of them."""
    cls = MODELS.get(cfg['type'])
    if cls is None:
        raise ValueError(f'backbone.type={cfg["type"]!r} is not registered.')
    if issubclass(cls, AdaptedBackbone):  # strict by itself
        return MODELS.build(cfg)
    if cfg['type'] == 'TIMMBackbone':
        if not cfg.get('pretrained'):
            raise ValueError(
                'a teacher needs weights: set pretrained=True of '
                'TIMMBackbone, and pretrained_cfg_overlay=dict(file=PATH) for '
                'a file of your own.'
            )
        return _build_timm(cfg)
    init_cfg = cfg.get('init_cfg')
    if not isinstance(init_cfg, dict) or init_cfg.get('type') != 'Pretrained':
        raise ValueError(
            f'init_cfg={init_cfg!r} of the teacher {cfg["type"]} must be '
            "dict(type='Pretrained', checkpoint=...)."
        )
    backbone = MODELS.build({**cfg, 'init_cfg': None})
    path = fetch(init_cfg['checkpoint'])
    read_module(path, backbone, prefix='backbone.')
    MMLogger.get_current_instance().info(f'Teacher: weights of {path}.')
    return backbone
