"""AdaptFormer on the frozen BEiT v2.

Symbols: B batch; N patches; C embedding width; s scale of the adapters.
"""

from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...nn import BottleneckAdapter
from .encoder_block import run_block
from .frozen_features import FrozenFeatures


@MODELS.register_module()
class AdaptFormerBackbone(FrozenFeatures):
    """A bottleneck adapter beside the MLP of each block.

    `AdaptFormer <https://arxiv.org/abs/2205.13535>`_, section 3.2:
    x + MLP(LN(x)) + s ReLU(LN(x) W_down) W_up, where LN is the frozen one of
    the block. BEiT scales its MLP by ``gamma_2``; the adapter, which the paper
    puts beside an MLP without such a scale, stays outside of it.

    Args:
        encoder: As in ``VPTMBackbone``.
        bottleneck_dims: Width of each bottleneck.
        scale: s.
        readout: As in ``FrozenFeatures``.
        pool_grid: As in ``FrozenFeatures``.
        init_cfg: As in ``VPTMBackbone``.

    Shape:
        As ``FrozenFeatures``.

    Raises:
        ValueError: If ``bottleneck_dims`` is below 1, or ``scale`` is not
            positive.
    """

    def __init__(
        self,
        encoder: dict,
        bottleneck_dims: int = 64,
        scale: float = 0.1,
        readout: str = 'cls',
        pool_grid: int = 1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(encoder, readout, pool_grid, init_cfg)
        self.adapters = nn.ModuleList(
            BottleneckAdapter(self.encoder.embed_dims, bottleneck_dims, scale)
            for _ in self.encoder.layers
        )

    @property
    def prefix_depth(self) -> int:
        """None: each block is tuned."""
        return 0

    def _run_tuned_blocks(self, tokens: Tensor) -> Tensor:
        bias = self.encoder.rel_pos_bias()
        for layer, adapter in zip(
            self.encoder.layers, self.adapters, strict=True
        ):
            tokens = run_block(
                layer, tokens, bias, self._read(layer), branch=adapter
            )
        return tokens
