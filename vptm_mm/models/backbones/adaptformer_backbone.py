"""AdaptFormer on the frozen BEiT v2.

Symbols: B batch; N patches; C embedding width; s scale of the adapters.
"""

from mmpretrain.models.backbones.beit import BEiTTransformerEncoderLayer
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...bricks import BottleneckAdapter
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

    def _run_tuned_blocks(self, tokens: Tensor) -> Tensor:
        bias = self.encoder.rel_pos_bias()
        for layer, adapter in zip(
            self.encoder.layers, self.adapters, strict=True
        ):
            tokens = _run_adapted_block(layer, adapter, tokens, bias)
        return tokens


def _run_adapted_block(
    layer: BEiTTransformerEncoderLayer,
    adapter: nn.Module,
    tokens: Tensor,
    bias: Tensor,
) -> Tensor:
    """Run the host's block with a branch beside its MLP.

    The host's ``forward`` has no place for it. Drop path is left out: the
    frozen block is in ``eval()``.
    """
    attention_scale, mlp_scale = (
        1.0 if gamma is None else gamma
        for gamma in (layer.gamma_1, layer.gamma_2)
    )
    attended = layer.attn(layer.ln1(tokens), rel_pos_bias=bias)
    tokens = tokens + attention_scale * attended
    normed = layer.ln2(tokens)
    return tokens + mlp_scale * layer.ffn(normed) + adapter(normed)
