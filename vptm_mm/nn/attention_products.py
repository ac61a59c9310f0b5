"""Attention whose gradient is taken by matrix products.

Symbols: B batch; h heads; Q, S tokens that look and that are looked at;
E width of a head.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# From torch 2.2 on; before it, attention with a mask is matrix products.
HAS_KERNEL = hasattr(
    torch.ops.aten, '_scaled_dot_product_flash_attention_for_cpu'
)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    dropout: float,
    scale: float,
) -> Tensor:
    """Scaled dot-product attention, with the faster of two gradients.

    The gradient of torch's fused kernel for CPUs does not use their matrix
    instructions for ``bfloat16``: it takes a third of a training step.

    Args:
        query: ``(B, h, Q, E)``.
        key: ``(B, h, S, E)``.
        value: As ``key``.
        mask: Added to the scores, ``(1 or B, h, Q, S)``.
        dropout: Share of the weights that are dropped.
        scale: Factor of the scores.

    Returns:
        ``(B, h, Q, E)``.
    """
    is_narrow = query.device.type == 'cpu' and query.dtype is torch.bfloat16
    is_tuned = any(x.requires_grad for x in (query, key, value))
    is_slow = HAS_KERNEL and is_narrow and is_tuned
    if is_slow and not dropout and not mask.requires_grad:
        return ProductGradient.apply(query, key, value, mask, scale)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale
    )


class ProductGradient(torch.autograd.Function):
    """The fused kernel forward; products of whole matrices backward.

    Backward computes the attention weights again, so no more is kept than
    queries, keys and values.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor,
        scale: float,
    ) -> Tensor:
        """Attend, as ``scaled_dot_product_attention`` without dropout."""
        ctx.save_for_backward(query, key, value, mask)
        ctx.scale = scale
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=scale
        )

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return gradients of queries, keys and values."""
        query, key, value, mask = ctx.saved_tensors
        query = query * ctx.scale
        weights = (query @ key.mT).add_(mask).softmax(-1)  # (B, h, Q, S)
        grad_value = weights.mT @ grad
        grad_scores = torch._softmax_backward_data(
            grad @ value.mT, weights, -1, weights.dtype
        )
        grad_query = (grad_scores @ key).mul_(ctx.scale)
        return grad_query, grad_scores.mT @ query, grad_value, None, None
