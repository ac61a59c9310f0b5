"""Features of the frozen BEiT v2, for linear heads.

Symbols: B batch; H, W rows and columns of patches, N = H * W of them;
C embedding width; D blocks.
"""

import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...nn import is_whole
from .frozen_beit import FrozenBEiT

READOUTS = ('cls', 'patches')


@MODELS.register_module()
class FrozenFeatures(FrozenBEiT):
    """What a linear probe reads off the same frozen backbone.

    Baselines of VPTM read the same features; each overrides
    ``_run_tuned_blocks`` by what it adds to the blocks.

    Args:
        encoder: As in ``VPTMBackbone``.
        readout: ``'cls'``, the state of [CLS], or ``'patches'``, the averaged
            states of the patches; both after the final norm.
        pool_grid: Cells along one side: the patches are averaged in each cell
            of a ``pool_grid`` x ``pool_grid`` grid, and concatenated.
        init_cfg: As in ``VPTMBackbone``.

    Shape:
        - Input: ``(B, in_channels, img_size, img_size)``, or the states of
          ``run_prefix``
        - Output: a tuple of one ``(B, C)`` tensor, or
          ``(B, pool_grid * pool_grid * C)``

    Raises:
        ValueError: If ``readout`` is unknown, or ``pool_grid`` out of range.
    """

    def __init__(
        self,
        encoder: dict,
        readout: str = 'cls',
        pool_grid: int = 1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(encoder, None, init_cfg)
        if readout not in READOUTS:
            raise ValueError(f'readout={readout!r} must be one of {READOUTS}.')
        side = min(self.encoder.patch_resolution)
        largest = 1 if readout == 'cls' else side
        if not is_whole(pool_grid) or not 1 <= pool_grid <= largest:
            raise ValueError(
                f'pool_grid={pool_grid!r} must be a whole number in '
                f'1..{side}, the patches along one side, and 1 with '
                "readout='cls'."
            )
        self.readout = readout
        self.pool_grid = pool_grid
        self._load_pretrained(init_cfg)

    @property
    def out_channels(self) -> int:
        """Width of the output: the ``in_channels`` of a head."""
        return self.pool_grid**2 * self.encoder.embed_dims

    @property
    def prefix_depth(self) -> int:
        """All D blocks; baselines that tune them have fewer."""
        return len(self.encoder.layers)

    def _run_tuned_blocks(self, tokens: Tensor) -> Tensor:
        """Run the blocks after the prefix: here there are none.

        What comes out is [CLS], and the patches if they are read.
        """
        return tokens

    def _read(self, layer: nn.Module) -> slice | None:
        """What a block must compute: of the last one, perhaps [CLS] only."""
        wanted = slice(0, 1) if self.readout == 'cls' else None
        return self._read_in(layer, wanted)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        tokens = self._run_tuned_blocks(self._prefix_of(x))
        tokens = self.encoder.norm1(tokens)
        if self.readout == 'cls':
            return (tokens[:, 0],)
        grid = tokens[:, 1:].unflatten(1, self.encoder.patch_resolution)
        pooled = F.adaptive_avg_pool2d(
            grid.permute(0, 3, 1, 2), self.pool_grid
        )
        return (pooled.flatten(1),)  # (B, C * pool_grid * pool_grid)
