"""Feature maps of any block of a frozen BEiT v2.

Symbols: B batch; H, W rows and columns of patches; C embedding width.
"""

from mmpretrain.registry import MODELS
from torch import Tensor

from ...nn import is_whole
from .frozen_beit import FrozenBEiT


@MODELS.register_module()
class BlockFeatures(FrozenBEiT):
    """States of the patches after one block of a frozen BEiT v2.

    A teacher for the tokenizer of the next round of pre-training: middle
    blocks hold more of what an image shows than the last one, which has to
    predict tokens.

    Args:
        encoder: As in ``VPTMBackbone``.
        block: Index of the block, counted from 0.
        init_cfg: As in ``VPTMBackbone``.

    Shape:
        - Input: ``(B, in_channels, img_size, img_size)``
        - Output: a tuple of one ``(B, C, H, W)`` tensor

    Raises:
        ValueError: If the encoder has no such block.
    """

    def __init__(
        self, encoder: dict, block: int, init_cfg: dict | None = None
    ) -> None:
        super().__init__(encoder, None, init_cfg)
        depth = len(self.encoder.layers)
        if not is_whole(block) or not 0 <= block < depth:
            raise ValueError(
                f'block={block!r} must be a whole number in 0..{depth - 1}.'
            )
        self.block = block
        self._load_pretrained(init_cfg)

    @property
    def prefix_depth(self) -> int:
        """Blocks that are run; nothing is tuned."""
        return self.block + 1

    def forward(self, x: Tensor) -> tuple[Tensor]:
        tokens = self.run_prefix(x)  # (B, 1 + N, C)
        grid = tokens[:, 1:].unflatten(1, self.encoder.patch_resolution)
        return (grid.permute(0, 3, 1, 2),)  # (B, C, H, W)
