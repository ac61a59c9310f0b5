"""LoRA on the attention of the frozen BEiT v2.

Symbols: B batch; N patches; C embedding width; r rank.
"""

from functools import partial
from typing import Any

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.func import functional_call

from ...nn import LowRankUpdate
from .encoder_block import run_block
from .frozen_features import FrozenFeatures


@MODELS.register_module()
class LoRABackbone(FrozenFeatures):
    """Low-rank updates of the query and value weights of each block.

    `LoRA <https://arxiv.org/abs/2106.09685>`_, section 4: W + (alpha / r) B A
    in place of W, for the query and the value of each block. No dropout on the
    updates. MMPretrain's ``LoRAModel`` replaces ``attn.qkv``, whose weight
    ``BEiTAttention`` reads; here each block runs with another weight instead,
    and its own stays what and where it is.

    Args:
        encoder: As in ``VPTMBackbone``.
        rank: Rank r of each update.
        alpha: Scale of the updates, divided by r.
        readout: As in ``FrozenFeatures``.
        pool_grid: As in ``FrozenFeatures``.
        init_cfg: As in ``VPTMBackbone``.

    Shape:
        As ``FrozenFeatures``.

    Raises:
        ValueError: If ``rank`` is not in 1..C, or ``alpha`` is not positive.
    """

    def __init__(
        self,
        encoder: dict,
        rank: int = 4,
        alpha: float = 4.0,
        readout: str = 'cls',
        pool_grid: int = 1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(encoder, readout, pool_grid, init_cfg)
        width = self.encoder.embed_dims
        self.lora_q, self.lora_v = (
            nn.ModuleList(
                LowRankUpdate(width, width, rank, alpha)
                for _ in self.encoder.layers
            )
            for _ in ('q', 'v')
        )

    @property
    def prefix_depth(self) -> int:
        """None: each block is tuned."""
        return 0

    def _run_tuned_blocks(self, tokens: Tensor) -> Tensor:
        bias = self.encoder.rel_pos_bias()
        for layer, lora_q, lora_v in zip(
            self.encoder.layers, self.lora_q, self.lora_v, strict=True
        ):
            query, value = lora_q(), lora_v()  # (C, C)
            key = torch.zeros_like(query)
            update = torch.cat([query, key, value])  # (3C, C)
            weight = {'qkv.weight': layer.attn.qkv.weight + update}
            tokens = run_block(
                layer,
                tokens,
                bias,
                self._read(layer),
                attention=partial(_attend, layer.attn, weight),
            )
        return tokens


def _attend(
    attention: nn.Module, changed: dict[str, Tensor], x: Tensor, **how: Any
) -> Tensor:
    """Run an attention with other weights than its own."""
    return functional_call(attention, changed, (x,), how)
