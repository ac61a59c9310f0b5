"""The host's attention, computed by a fused kernel.

Symbols: B batch; S sequence length; Q tokens that look, S by default;
C embedding width; h heads.
"""

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import BEiTAttention
from torch import Tensor


class FusedAttention(BEiTAttention):
    """``BEiTAttention`` with a shared position bias, in one kernel.

    The matrix of attention weights, ``(B, h, S, S)``, is neither kept nor
    written out where ``scaled_dot_product_attention`` has a kernel for it.
    Parameters and their names are the host's.

    Args:
        embed_dims: Width C of a token.
        num_heads: Heads h.
        bias: As in the host.
        qk_scale: As in the host.
        attn_drop_rate: Fraction of attention weights dropped in training.
        proj_drop_rate: Fraction of outputs dropped in training.

    Shape:
        - Input: ``(B, S, C)``; the bias, ``(h, S, S)`` or ``(B, h, S, S)``
        - Output: ``(B, Q, C)``
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        bias: bool | str = 'qv_bias',
        qk_scale: float | None = None,
        attn_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
    ) -> None:
        super().__init__(
            embed_dims,
            num_heads,
            window_size=None,
            use_rel_pos_bias=False,
            bias=bias,
            qk_scale=qk_scale,
            attn_drop_rate=attn_drop_rate,
            proj_drop_rate=proj_drop_rate,
        )

    @classmethod
    def like(cls, attention: BEiTAttention) -> 'FusedAttention':
        """Build one with options and weights of a module of the host's."""
        # What is drawn after it must not depend on which of them is there.
        with torch.random.fork_rng(devices=[]):
            fused = cls(
                attention.embed_dims,
                attention.num_heads,
                attention.bias,
                attention.scale,
                attention.attn_drop.p,
                attention.proj_drop.p,
            )
        fused.load_state_dict(attention.state_dict())
        return fused

    def forward(
        self,
        x: Tensor,
        rel_pos_bias: Tensor,
        queries: slice | None = None,
    ) -> Tensor:
        """Attend; ``queries`` are the tokens that look, None for all."""
        query, key, value = self._project(x, queries)
        bias = rel_pos_bias.to(query.dtype)
        if queries is not None:
            bias = bias[..., queries, :]
        attended = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias if bias.dim() == 4 else bias[None],
            dropout_p=self.attn_drop.p if self.training else 0.0,
            scale=self.scale,
        )  # (B, h, Q, C / h)
        attended = attended.transpose(1, 2).flatten(2)  # (B, Q, C)
        return self.proj_drop(self.proj(attended))

    def _project(self, x: Tensor, queries: slice | None) -> tuple[Tensor, ...]:
        """Return queries, keys and values, ``(B, h, ..., C / h)``."""
        weight, bias = self.qkv.weight, self.qkv.bias
        if self.bias == 'qv_bias':
            no_bias = torch.zeros_like(self.v_bias)
            bias = torch.cat([self.q_bias, no_bias, self.v_bias])
        if queries is None:
            projected = F.linear(x, weight, bias).chunk(3, dim=-1)
        else:
            width = self.embed_dims
            query_bias, rest_bias = (
                (None, None) if bias is None else (bias[:width], bias[width:])
            )
            query = F.linear(x[:, queries], weight[:width], query_bias)
            rest = F.linear(x, weight[width:], rest_bias)
            projected = query, *rest.chunk(2, dim=-1)
        return tuple(
            tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for tokens in projected
        )
