"""The visual tokenizer of BEiT v2.

Symbols: B batch; N patches, H x W of them; E width of a codebook entry.
"""

import torch
from mmpretrain.models import VQKD
from mmpretrain.registry import MODELS
from torch import Tensor

from ...nn import VectorQuantizer, freeze
from ...weights.checkpoint_file import fetch, read_module
from ...weights.checkpoint_layouts import tokenizer_names


@MODELS.register_module()
class VQKDTokenizer(VQKD):
    """MMPretrain's VQ-KD encoder, with a codebook that can be trained.

    Vector-quantized knowledge distillation, BEiT v2
    <https://arxiv.org/abs/2208.06366>, section 2.2; ``VQKDDistiller`` trains
    it. The file that MMPretrain publishes, ``vqkd_encoder.pth``, is read, and
    so are Microsoft's, without decoder and teacher, and those that
    ``ExportWeightsHook`` writes; all strictly. The first two take images
    with mean and standard deviation 127.5.

    Args:
        encoder_config: Arguments of MMPretrain's ``BEiTViT``.
        num_embed: Codebook size.
        embed_dims: Width E of an entry.
        decay: As in ``VectorQuantizer``.
        beta: As in ``VectorQuantizer``.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``, or None to
            train it.

    Shape:
        - Input: ``(B, 3, img_size, img_size)``
        - Output: ``(B, N)`` token ids
    """

    def __init__(
        self,
        encoder_config: dict,
        num_embed: int,
        embed_dims: int = 32,
        decay: float = 0.99,
        beta: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        encoder_config = dict(encoder_config, out_type='featmap')
        super().__init__(encoder_config, None, num_embed, embed_dims)
        self.quantize = _MapQuantizer(num_embed, embed_dims, decay, beta)
        self.checkpoint = init_cfg['checkpoint'] if init_cfg else None
        if self.checkpoint is not None:
            path = fetch(self.checkpoint)
            read_module(path, self, 'tokenizer.', tokenizer_names)
            freeze(self)

    def train(self, mode: bool = True) -> 'VQKDTokenizer':
        """Train what is to be trained; keep what was read in eval."""
        return super().train(mode and self.checkpoint is None)

    @property
    def num_visual_tokens(self) -> int:
        """Codebook size."""
        return len(self.quantize.cluster_size)

    @property
    def is_fitted(self) -> bool:
        """Whether it has been trained or loaded."""
        return self.quantize.is_fitted

    def init_weights(self) -> None:
        """Initialise what is to be trained; keep what was read."""
        if self.checkpoint is None:
            super().init_weights()

    def forward(self, images: Tensor) -> Tensor:
        if not self.is_fitted:
            raise RuntimeError(
                'the VQ-KD tokenizer has not been trained; set init_cfg=dict('
                "type='Pretrained', checkpoint=...) to a file that "
                'VQKDDistiller or MMPretrain made.'
            )
        # With --amp, too: half precision would name other entries than those
        # that reports count.
        with torch.autocast(images.device.type, enabled=False):
            return super().forward(images.float())


class _MapQuantizer(VectorQuantizer):
    """Quantizes a map ``(B, E, H, W)``, as the host's encoder asks for it."""

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, loss, ids = super().forward(maps.permute(0, 2, 3, 1))
        return quantized.permute(0, 3, 1, 2), loss, ids.flatten()
