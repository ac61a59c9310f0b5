"""One block of the host's encoder, with what it has no place for.

Symbols: B batch; S sequence length; R tokens that are read; C embedding
width; h heads.
"""

from collections.abc import Callable

from mmpretrain.models.backbones.beit import BEiTTransformerEncoderLayer
from torch import Tensor

from ..attention import FusedAttention


def run_block(
    layer: BEiTTransformerEncoderLayer,
    tokens: Tensor,
    bias: Tensor,
    read: slice | None = None,
    attention: Callable[..., Tensor] | None = None,
    branch: Callable[[Tensor], Tensor] | None = None,
    tuned: slice | None = None,
) -> Tensor:
    """Run a block of the encoder.

    Args:
        layer: The block.
        tokens: ``(B, S, C)``.
        bias: The position bias, ``(h, S, S)``.
        read: The tokens whose states are wanted; only they pass query,
            projection and MLP. None for all.
        attention: Called in place of the block's attention.
        branch: Beside the MLP: reads what it reads, and is added.
        tuned: The only tokens that need a gradient; None for all. Makes
            fused attention faster that computes all tokens.

    Returns:
        ``(B, R, C)``.
    """
    how: dict[str, slice] = {}
    is_fused = isinstance(layer.attn, FusedAttention)
    if is_fused and read is not None:
        how = dict(queries=read)
    elif read is None and attention is None and branch is None:
        return layer(tokens, rel_pos_bias=bias)
    attention = attention or layer.attn
    attended = attention(layer.ln1(tokens), rel_pos_bias=bias, **how)
    if read is not None:
        tokens = tokens[:, read]
        if not is_fused:
            attended = attended[:, read]
    tokens = tokens + layer.drop_path(_scale(layer.gamma_1, attended))
    normed = layer.ln2(tokens)
    changed = layer.drop_path(_scale(layer.gamma_2, layer.ffn(normed)))
    if branch is not None:
        changed = changed + branch(normed)
    return tokens + changed  # (B, R, C)


def _scale(gamma: Tensor | None, states: Tensor) -> Tensor:
    return states if gamma is None else gamma * states
