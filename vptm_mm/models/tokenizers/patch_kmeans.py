"""A visual tokenizer that anybody can fit: k-means over image patches.

Symbols: B batch; N patches; V visual tokens; p patch size in pixels.
"""

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor


@MODELS.register_module()
class PatchKMeansTokenizer(BaseModule):
    """Visual tokens as the nearest entry of a k-means codebook of patches.

    It takes the place of VQ-KD as ``target_generator`` of MMPretrain's
    ``BEiT``, so that a backbone can be pre-trained on any images, without
    CLIP. The masked visual token objective is that of `BEiT v2
    <https://arxiv.org/abs/2208.06366>`_, section 2.

    The codebook is a buffer: it travels in the checkpoint. Before it is
    fitted it holds NaN, and the tokenizer refuses to run.

    Args:
        num_visual_tokens: Codebook size V.
        patch_size: Edge p of a patch in pixels; the backbone's.
        in_channels: Channels of the image.
        seed: Seed of k-means.

    Shape:
        - Input: ``(B, in_channels, H * p, W * p)``
        - Output: ``(B, N)`` token ids, ``N = H * W``

    Raises:
        ValueError: If ``num_visual_tokens`` < 2, if there are fewer patches
            to fit than visual tokens, or if an image does not divide into
            patches.
        RuntimeError: If it runs before it was fitted.
    """

    codebook: Tensor

    def __init__(
        self,
        num_visual_tokens: int,
        patch_size: int,
        in_channels: int = 3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if num_visual_tokens < 2:
            raise ValueError(
                f'num_visual_tokens={num_visual_tokens} must be >= 2.'
            )
        self.num_visual_tokens = num_visual_tokens
        self.patch_size = patch_size
        self.in_channels = in_channels
        self.seed = seed
        width = in_channels * patch_size**2
        self.register_buffer(
            'codebook', torch.full((num_visual_tokens, width), torch.nan)
        )

    @property
    def is_fitted(self) -> bool:
        """Whether the codebook has been fitted or loaded."""
        return bool(torch.isfinite(self.codebook).all())

    def patchify(self, images: Tensor) -> Tensor:
        """Cut ``(B, C, H * p, W * p)`` images into ``(B, N, C * p * p)``."""
        batch, channels, height, width = images.shape
        p = self.patch_size
        if channels != self.in_channels or height % p or width % p:
            raise ValueError(
                f'images of shape {tuple(images.shape)} do not divide into '
                f'patches of {p} px with in_channels={self.in_channels}; '
                'set patch_size, in_channels or the crop size.'
            )
        grid = images.unfold(2, p, p).unfold(3, p, p)  # (B, C, H, W, p, p)
        return grid.permute(0, 2, 3, 1, 4, 5).reshape(
            batch, -1, channels * p * p
        )

    @torch.no_grad()
    def fit(self, patches: Tensor) -> None:
        """Fit the codebook to ``(num_patches, C * p * p)`` patches."""
        if len(patches) < self.num_visual_tokens:
            raise ValueError(
                f'{len(patches)} patches cannot be grouped into '
                f'num_visual_tokens={self.num_visual_tokens}; give more '
                'images or fewer visual tokens.'
            )
        kmeans = MiniBatchKMeans(
            self.num_visual_tokens,
            batch_size=4096,
            n_init=3,
            random_state=self.seed,
        )
        kmeans.fit(patches.float().cpu().numpy())
        self.codebook.copy_(torch.from_numpy(kmeans.cluster_centers_))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        if not self.is_fitted:
            raise RuntimeError(
                'the visual tokenizer has no codebook yet; add '
                "dict(type='FitTokenizerHook') to custom_hooks, or load a "
                'pre-training checkpoint.'
            )
        patches = self.patchify(images.to(self.codebook.dtype))  # (B, N, CPP)
        # |x|^2 is the same for every entry, so it cannot change the nearest.
        norms = self.codebook.square().sum(1)  # (V,)
        return (norms - 2 * patches @ self.codebook.T).argmin(-1)  # (B, N)
