"""The host's attention, computed by a fused kernel.

Symbols: B batch; S sequence length; Q tokens that look, S by default;
C embedding width; h heads.
"""

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import BEiTAttention
from torch import Tensor

from ..nn import qkv_bias


class FusedAttention(BEiTAttention):
    """``BEiTAttention`` with a shared position bias, in one kernel.

    The matrix of attention weights, ``(B, h, S, S)``, is neither kept nor
    written out where ``scaled_dot_product_attention`` has a kernel for it.
    Options, parameters and their names are the host's.

    Shape:
        - Input: ``(B, S, C)``; the bias, ``(h, S, S)`` or ``(B, h, S, S)``
        - Output: ``(B, Q, C)``
    """

    @staticmethod
    def replace(attention: BEiTAttention) -> None:
        """Make a module of the host's compute this way, where it is."""
        # Only forward differs, so nothing has to be built or copied.
        attention.__class__ = FusedAttention

    def forward(
        self,
        x: Tensor,
        rel_pos_bias: Tensor,
        queries: slice | None = None,
    ) -> Tensor:
        """Compute the attention of all tokens, or of some, to all.

        Args:
            x: Normed states, ``(B, S, C)``.
            rel_pos_bias: The position bias.
            queries: The tokens that look; None for all.

        Returns:
            ``(B, Q, C)``.
        """
        if queries is not None and self._are_few(queries):
            attended = self._attend_from(x, rel_pos_bias, queries)
        else:
            attended = self._attend(x, rel_pos_bias)  # (B, S, C)
            attended = attended if queries is None else attended[:, queries]
        return self.proj_drop(self.proj(attended))

    def _attend(self, x: Tensor, rel_pos_bias: Tensor) -> Tensor:
        projected = F.linear(x, self.qkv.weight, qkv_bias(self))  # (B, S, 3C)
        query, key, value = (
            tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for tokens in projected.chunk(3, dim=-1)
        )  # (B, h, S, C / h)
        mask = rel_pos_bias.to(query.dtype)
        if _is_slow(query):
            weights = (query * self.scale @ key.mT + mask).softmax(-1)
            attended = self.attn_drop(weights) @ value
        else:
            attended = F.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=mask if mask.dim() == 4 else mask[None],
                dropout_p=self.attn_drop.p if self.training else 0.0,
                scale=self.scale,
            )
        return attended.transpose(1, 2).flatten(2)

    def _are_few(self, queries: slice) -> bool:
        """Whether few tokens look, without dropout, which needs the keys."""
        rows = (queries.stop - queries.start) * self.num_heads
        drops = self.training and self.attn_drop.p > 0
        return rows < self.embed_dims and not drops

    def _attend_from(
        self, x: Tensor, rel_pos_bias: Tensor, queries: slice
    ) -> Tensor:
        """Attend from a few tokens, without keys and values of the others.

        A query times a projected state is the query, projected back, times
        the state; the mean of projected states is the projected mean. The
        bias of keys adds the same to all scores of a query: it cancels out.

        Returns:
            ``(B, Q, C)``.
        """
        weights = self.qkv.weight.unflatten(0, (3, self.num_heads, -1))
        to_query, to_key, to_value = weights  # (h, C / h, C)
        bias = qkv_bias(self)
        query_bias, _, value_bias = (
            (None,) * 3 if bias is None else bias.chunk(3)
        )
        # Contiguous, or linear would repeat the weight for each image.
        looking = x[:, queries].contiguous()
        query = F.linear(looking, to_query.flatten(0, 1), query_bias)
        query = query.unflatten(-1, (self.num_heads, -1)) * self.scale
        query = torch.einsum('bqhd,hdc->bhqc', query, to_key)
        states = x.to(query.dtype)
        scores = torch.einsum('bhqc,bsc->bhqs', query, states)
        # In float32 at least, as kernels do it.
        dtype = torch.promote_types(scores.dtype, torch.float32)
        scores = scores.to(dtype) + rel_pos_bias[..., queries, :].to(dtype)
        shares = scores.softmax(-1).to(states.dtype)
        mean = torch.einsum('bhqs,bsc->bhqc', shares, states)
        attended = torch.einsum('bhqc,hdc->bqhd', mean, to_value).flatten(2)
        return attended if value_bias is None else attended + value_bias


def _is_slow(query: Tensor) -> bool:
    """Whether the kernel for CPUs is slower than products of matrices.

    Its gradient in ``bfloat16`` does not use their instructions for it.
    """
    is_narrow = query.device.type == 'cpu' and query.dtype is torch.bfloat16
    return is_narrow and query.requires_grad
