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
        """Attend.

        Args:
            x: Normed states, ``(B, S, C)``.
            rel_pos_bias: The position bias.
            queries: The tokens that look; None for all.

        Returns:
            ``(B, Q, C)``.
        """
        weight, bias = self.qkv.weight, qkv_bias(self)
        if queries is None:
            projected = F.linear(x, weight, bias).chunk(3, dim=-1)
        else:
            width = self.embed_dims
            of_query, of_rest = (
                (None, None) if bias is None else bias.tensor_split([width])
            )
            # Contiguous, or linear would repeat the weight for each image.
            looking = x[:, queries].contiguous()
            projected = (
                F.linear(looking, weight[:width], of_query),
                *F.linear(x, weight[width:], of_rest).chunk(2, dim=-1),
            )
            rel_pos_bias = rel_pos_bias[..., queries, :]
        query, key, value = (
            tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for tokens in projected
        )  # (B, h, Q or S, C / h)
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
            )  # (B, h, Q, C / h)
        attended = attended.transpose(1, 2).flatten(2)  # (B, Q, C)
        return self.proj_drop(self.proj(attended))


def _is_slow(query: Tensor) -> bool:
    """Whether the kernel for CPUs is slower than products of matrices.

    Its gradient in ``bfloat16`` does not use their instructions for it.
    """
    is_narrow = query.device.type == 'cpu' and query.dtype is torch.bfloat16
    return is_narrow and query.requires_grad
