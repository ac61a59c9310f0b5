"""The host's attention, computed by a fused kernel.

Symbols: B batch; S sequence length; Q tokens that look, S by default;
C embedding width; h heads.
"""

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import BEiTAttention
from torch import Tensor

from ...nn import attend, qkv_bias


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
        """Build one with options and weights of a module of the host's.

        They share the weights.
        """
        # Without memory, and without drawing what is replaced at once.
        with torch.device('meta'):
            fused = cls(
                attention.embed_dims,
                attention.num_heads,
                attention.bias,
                attention.scale,
                attention.attn_drop.p,
                attention.proj_drop.p,
            )
        fused.load_state_dict(attention.state_dict(), assign=True)
        return fused

    def forward(
        self,
        x: Tensor,
        rel_pos_bias: Tensor,
        queries: slice | None = None,
        tuned: slice | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            x: Normed states, ``(B, S, C)``.
            rel_pos_bias: The position bias.
            queries: The tokens that look; None for all.
            tuned: The only tokens that need a gradient; None for all.

        Returns:
            ``(B, Q, C)``.
        """
        if queries is None:
            bias = rel_pos_bias
            query, key, value = self._project(x, tuned)
        else:
            bias = rel_pos_bias[..., queries, :]
            if self._is_cheaper_without_keys(bias.size(-2)):
                return self.proj_drop(
                    self.proj(self._attend_to_states(x, bias, queries))
                )
            query, key, value = self._project_apart(x, queries)
        attended = attend(
            query,
            key,
            value,
            _as_mask(bias, query),
            self.attn_drop.p if self.training else 0.0,
            self.scale,
        )  # (B, h, Q, C / h)
        attended = attended.transpose(1, 2).flatten(2)  # (B, Q, C)
        return self.proj_drop(self.proj(attended))

    def _project(self, x: Tensor, tuned: slice | None) -> tuple[Tensor, ...]:
        """Return queries, keys and values, ``(B, h, S, C / h)``."""
        weight, bias = self.qkv.weight, qkv_bias(self)
        if tuned is None:
            projected = F.linear(x, weight, bias)
        else:
            start, stop, _ = tuned.indices(x.size(1))
            # Contiguous, or linear would repeat the weight for each image.
            again = F.linear(x[:, tuned].contiguous(), weight, bias)
            projected = F.linear(x.detach(), weight, bias)
            projected = projected.slice_scatter(again, 1, start, stop)
        return tuple(map(self._split_heads, projected.chunk(3, dim=-1)))

    def _project_apart(self, x: Tensor, queries: slice) -> tuple[Tensor, ...]:
        """Return queries, ``(B, h, Q, C / h)``, keys and values of all."""
        width = self.embed_dims
        weight, bias = self.qkv.weight, qkv_bias(self)
        query_bias, rest_bias = (
            (None, None) if bias is None else (bias[:width], bias[width:])
        )
        looking = x[:, queries].contiguous()
        query = F.linear(looking, weight[:width], query_bias)
        rest = F.linear(x, weight[width:], rest_bias)
        return tuple(map(self._split_heads, (query, *rest.chunk(2, dim=-1))))

    def _is_cheaper_without_keys(self, queries: int) -> bool:
        """Whether a few tokens look, and no weight of theirs is dropped."""
        drops = self.training and self.attn_drop.p > 0
        return queries * self.num_heads < self.embed_dims and not drops

    def _attend_to_states(
        self, x: Tensor, bias: Tensor, queries: slice
    ) -> Tensor:
        """Attend without keys and values, which need S products each.

        A query times a projected state is the query, projected back, times
        the state; and the mean of projected states is the projected mean.
        The bias of the keys adds the same to each score of a query: it
        cancels out.

        Returns:
            ``(B, Q, C)``.
        """
        weights = self.qkv.weight.unflatten(0, (3, self.num_heads, -1))
        query_weight, key_weight, value_weight = weights  # (h, C / h, C)
        bias_of_all = qkv_bias(self)
        query_bias, _, value_bias = (
            (None, None, None) if bias_of_all is None else bias_of_all.chunk(3)
        )
        query = F.linear(
            x[:, queries].contiguous(), query_weight.flatten(0, 1), query_bias
        ).unflatten(-1, (self.num_heads, -1))
        # A matrix product would repeat the weights for each image.
        looking = torch.einsum('bqhd,hdc->bhqc', query, key_weight)
        # Before torch 2.2, autocast on a CPU leaves attention's types alone.
        states = x.to(looking.dtype)[:, None]
        mean = F.scaled_dot_product_attention(
            looking.flatten(1, 2)[:, None],
            states,
            states,
            attn_mask=_as_mask(bias, looking).flatten(1, 2)[:, None],
            scale=self.scale,
        )  # (B, 1, h * Q, C)
        mean = mean.view_as(looking)
        attended = torch.einsum('bhqc,hdc->bqhd', mean, value_weight)
        attended = attended.flatten(2)
        return attended if value_bias is None else attended + value_bias

    def _split_heads(self, tokens: Tensor) -> Tensor:
        """Turn ``(B, S, C)`` into ``(B, h, S, C / h)``."""
        return tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def _as_mask(bias: Tensor, like: Tensor) -> Tensor:
    """Turn a position bias into a mask, ``(1, h, Q, S)`` or B of them."""
    bias = bias.to(like.dtype)
    return bias if bias.dim() == 4 else bias[None]
