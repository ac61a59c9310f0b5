"""A visual tokenizer that anybody can fit: k-means over image patches.

Symbols: B batch; N patches; p patch size in pixels.
"""

from mmpretrain.registry import MODELS
from torch import Tensor

from .kmeans_tokenizer import KMeansTokenizer


@MODELS.register_module()
class PatchKMeansTokenizer(KMeansTokenizer):
    """Visual tokens as the nearest entry of a k-means codebook of patches.

    Args:
        num_visual_tokens: Codebook size.
        patch_size: Edge p of a patch in pixels; the backbone's.
        in_channels: Channels of the image.
        seed: Seed of k-means.

    Shape:
        - Input: ``(B, in_channels, H * p, W * p)``
        - Output: ``(B, N)`` token ids, ``N = H * W``
    """

    def __init__(
        self,
        num_visual_tokens: int,
        patch_size: int,
        in_channels: int = 3,
        seed: int = 0,
    ) -> None:
        super().__init__(
            num_visual_tokens, in_channels * patch_size**2, seed=seed
        )
        self.patch_size = patch_size
        self.in_channels = in_channels

    def describe(self, images: Tensor) -> Tensor:
        """Cut ``(B, C, H * p, W * p)`` images into ``(B, N, C * p * p)``."""
        batch, channels, height, width = images.shape
        p = self.patch_size
        if channels != self.in_channels or height % p or width % p:
            raise ValueError(
                f'images of shape {tuple(images.shape)} do not divide into '
                f'patches of {p} px with in_channels={self.in_channels}; '
                'set patch_size, in_channels or the crop size.'
            )
        images = images.to(self.codebook.dtype)
        grid = images.unfold(2, p, p).unfold(3, p, p)  # (B, C, H, W, p, p)
        return grid.permute(0, 2, 3, 1, 4, 5).reshape(
            batch, -1, channels * p * p
        )
