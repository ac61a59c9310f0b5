"""What any frozen model reads, for a linear probe beside other methods.

Symbols: B batch; E width of a feature.
"""

from functools import cached_property

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from ..nn import tensors_sha256
from .tokenizers.feature_teacher import FeatureTeacher


@MODELS.register_module()
class TeacherFeatures(BaseModule):
    """Averaged features of a frozen model, which sees images enlarged.

    A yardstick: what the teacher of a pre-training makes of the pixels that
    the backbone sees. Nothing in it is tuned, so ``PrefixCacheHook`` can keep
    all of it.

    Args:
        backbone: As in ``FeatureTeacher``.
        embed_dims: Width E of its features.
        image_dims: Side of the images that it sees, in pixels.

    Shape:
        - Input: images, ``(B, 3, H, H)``, or what ``run_prefix`` returns
        - Output: a tuple of one tensor, ``(B, E)``

    Raises:
        ValueError: As ``FeatureTeacher``.
    """

    # Of PrefixCacheHook: the model is one block.
    prefix_depth = 1

    def __init__(
        self, backbone: dict, embed_dims: int, image_dims: int
    ) -> None:
        super().__init__()
        self.teacher = FeatureTeacher(backbone, embed_dims, grid_size=1)
        self.out_channels = embed_dims
        self.image_dims = image_dims

    @cached_property
    def frozen_sha256(self) -> str:
        """Digest of the teacher's tensors."""
        return tensors_sha256(self.teacher.state_dict())

    def run_prefix(self, x: Tensor) -> Tensor:
        """Return the features of images, ``(B, 1, E)``."""
        size = (self.image_dims, self.image_dims)
        return self.teacher(
            F.interpolate(x, size, mode='bicubic', antialias=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor]:
        features = x if x.ndim == 3 else self.run_prefix(x)
        return (features.flatten(1).float(),)
