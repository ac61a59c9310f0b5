"""A visual tokenizer with meaning: k-means over features of a model.

Symbols: B batch; N patches; E width of a feature.
"""

import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from .feature_teacher import FeatureTeacher
from .kmeans_tokenizer import KMeansTokenizer


@MODELS.register_module()
class FeatureKMeansTokenizer(KMeansTokenizer):
    """Visual tokens as groups of a frozen model's features.

    Pre-training in rounds, as HuBERT <https://arxiv.org/abs/2106.07447>
    does for speech (section II.C): the first round predicts groups of pixels,
    and each later one groups of features of the round before it. Any
    other model of MMPretrain or timm may be the teacher.

    Each feature is brought to mean 0 and variance 1 before it is grouped, so
    that no token counts more because its state is long.

    Args:
        num_visual_tokens: Codebook size.
        teacher: Config of a backbone, as ``FeatureTeacher`` takes it.
        embed_dims: Width E of the teacher's features.
        grid_size: Patches along one side of an image.
        seed: Seed of k-means.

    Shape:
        - Input: images as the teacher takes them
        - Output: ``(B, grid_size * grid_size)`` token ids
    """

    def __init__(
        self,
        num_visual_tokens: int,
        teacher: dict,
        embed_dims: int,
        grid_size: int,
        seed: int = 0,
    ) -> None:
        super().__init__(num_visual_tokens, embed_dims, seed=seed)
        self.teacher = FeatureTeacher(teacher, embed_dims, grid_size)

    def describe(self, images: Tensor) -> Tensor:
        """Features of each patch, ``(B, N, E)``, in the codebook's type."""
        features = self.teacher(images).to(self.codebook.dtype)
        return F.layer_norm(features, features.shape[-1:])
