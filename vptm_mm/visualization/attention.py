"""Where [MASK] and the prompts look.

Symbols: B batch; H, W rows and columns of patches, N = H * W of them; P prompt
tokens; M [MASK] tokens; S sequence length; C embedding width; D blocks;
h heads; Q tokens that look, [MASK]s or prompts.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..nn import PromptTokens, TokenSequence, qkv_bias

KINDS = ('[CLS]', 'patches', '[MASK]', 'prompts')


@dataclass(frozen=True)
class AttentionMaps:
    """What Q tokens look at, averaged over heads.

    Along the second dimension stand the D blocks, then the rollout. What is
    NaN belongs to a prompt in a block that it had not entered yet.

    Args:
        patches: Share of the attention on each patch, ``(B, D + 1, Q, N)``.
        shares: Share on each of ``KINDS``, ``(B, D + 1, Q, 4)``.
    """

    patches: Tensor
    shares: Tensor


def attention_weights(
    attention: Any, tokens: Tensor, rel_pos_bias: Tensor | None = None
) -> Tensor:
    """Recompute the weights of the host's ``BEiTAttention``, ``(B, h, S, S)``.

    The module does not return them. Operations and their order are its own.

    Args:
        attention: The host's module, with a shared position bias.
        tokens: Its input, ``(B, S, C)``.
        rel_pos_bias: The bias that it is called with, ``(h, S, S)``.
    """
    query, key, _ = F.linear(
        tokens, attention.qkv.weight, qkv_bias(attention)
    ).chunk(3, dim=-1)  # (B, S, C) each
    query, key = (
        x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for x in (query, key)
    )  # (B, h, S, C / h)
    scores = (query * attention.scale) @ key.transpose(-2, -1)
    if rel_pos_bias is not None:
        scores = scores + rel_pos_bias
    return scores.softmax(dim=-1)  # (B, h, S, S)


@contextmanager
def recorded_attention(encoder: Any) -> Iterator[list[Tensor]]:
    """Fill a list with the attention of each block that runs inside.

    Args:
        encoder: The host's BEiT.

    Yields:
        The list: ``(B, h, S, S)`` for each block, S being its own.
    """
    weights: list[Tensor] = []

    def record(attention: Any, args: Any, kwargs: Any) -> None:
        (tokens,) = args
        found = attention_weights(attention, tokens, kwargs['rel_pos_bias'])
        weights.append(found.detach())

    handles = [
        layer.attn.register_forward_pre_hook(record, with_kwargs=True)
        for layer in encoder.layers
    ]
    try:
        yield weights
    finally:
        for handle in handles:
            handle.remove()


def attention_rollout(
    weights: Sequence[Tensor], prompts: PromptTokens, prompt_start: int
) -> Tensor:
    """Follow the attention of the last block back to the input.

    `Quantifying Attention Flow in Transformers
    <https://arxiv.org/abs/2005.00928>`_, section 3: heads are averaged, half
    of each token comes from the residual connection, blocks are multiplied.
    Prompts are inputs of the block that they enter; those that a later block
    replaces end there.

    Args:
        weights: Attention of each block, ``(B, h, S, S)``.
        prompts: Who enters where.
        prompt_start: Their first position in the sequence.

    Returns:
        Share of each input in each token of the last block; rows sum to 1.
        Inputs are [CLS], patches and [MASK]s in their order, then the prompts
        of each prompted block.
    """
    num_inputs = weights[0].size(-1) - prompts.length * (0 in prompts.blocks)
    rollout = torch.eye(num_inputs, device=weights[0].device)
    rollout = rollout.expand(len(weights[0]), -1, -1)
    for block, weight in enumerate(weights):
        if block in prompts.blocks:
            replaced = prompts.length * (block != prompts.blocks[0])
            rollout = _with_prompts(
                rollout, prompt_start, prompts.length, replaced
            )
        identity = torch.eye(weight.size(-1), device=weight.device)
        rollout = (weight.float().mean(1) + identity) / 2 @ rollout
    return rollout


def _with_prompts(
    rollout: Tensor, start: int, length: int, replaced: int
) -> Tensor:
    """Add rows of new prompts, and one input for each of them."""
    before, after = rollout[:, :start], rollout[:, start + replaced :]
    prompts = torch.eye(length, device=rollout.device)
    prompts = F.pad(prompts, (rollout.size(-1), 0))
    return torch.cat(
        [
            F.pad(before, (0, length)),
            prompts.expand(len(rollout), -1, -1),
            F.pad(after, (0, length)),
        ],
        dim=1,
    )


def require_sequence(backbone: Any) -> None:
    """Refuse a backbone without [MASK].

    Raises:
        ValueError: If it is no ``VPTMBackbone``.
    """
    if not isinstance(getattr(backbone, 'sequence', None), TokenSequence):
        raise ValueError(
            f'{type(backbone).__name__} adds no [MASK] to the image; pictures '
            'of attention and tokens need a VPTMBackbone.'
        )


@torch.no_grad()
def attention_maps(
    backbone: Any, images: Tensor
) -> tuple[AttentionMaps, AttentionMaps]:
    """Run the backbone and say where [MASK]s look, and where prompts look.

    Args:
        backbone: A ``VPTMBackbone``.
        images: What it takes, ``(B, in_channels, img_size, img_size)``.

    Returns:
        The maps of the M [MASK]s and those of the P prompts.

    Raises:
        ValueError: If it is another backbone.
    """
    require_sequence(backbone)
    with recorded_attention(backbone.encoder) as weights:
        backbone(images)
    sequence, prompts = backbone.sequence, backbone.prompt_tokens
    rollout = attention_rollout(weights, prompts, sequence.prompt_start)
    attention = [weight.float().mean(1) for weight in weights]  # (B, S, S)
    blocks = [_positions(backbone, block) for block in range(len(weights))]
    steps = [
        *zip(attention, blocks, blocks, strict=True),
        (rollout, blocks[-1], _input_positions(backbone)),
    ]
    return (
        _maps_of('[MASK]', sequence.num_masks, steps),
        _maps_of('prompts', prompts.length, steps),
    )


def _maps_of(kind: str, count: int, steps: Sequence[tuple]) -> AttentionMaps:
    """Cut the rows of one kind of token out of the attention of each step."""
    patches: list[Tensor] = []
    shares: list[Tensor] = []
    for attention, rows, columns in steps:
        looks = attention[:, rows[kind]]  # (B, Q, S)
        absent = looks.size(1) < count
        if absent:
            looks = torch.zeros_like(attention[:, :1]).expand(-1, count, -1)
        onto = [looks[..., columns[key]].sum(-1) for key in KINDS]
        for found, values in (
            (patches, looks[..., columns['patches']]),
            (shares, torch.stack(onto, -1)),
        ):
            found.append(
                torch.full_like(values, torch.nan) if absent else values
            )
    return AttentionMaps(
        torch.stack(patches, 1).cpu(), torch.stack(shares, 1).cpu()
    )


def _input_positions(backbone: Any) -> dict[str, slice]:
    """Say where each kind stands among the inputs: prompts come last."""
    sequence = backbone.sequence
    first_mask = 1 + sequence.patches.stop - sequence.patches.start
    first_prompt = first_mask + sequence.num_masks
    return {
        '[CLS]': slice(0, 1),
        'patches': slice(1, first_mask),
        '[MASK]': slice(first_mask, first_prompt),
        'prompts': slice(first_prompt, None),
    }


def _positions(backbone: Any, block: int) -> dict[str, slice]:
    """Say where each kind of token stands in the sequence of a block."""
    sequence, prompts = backbone.sequence, backbone.prompt_tokens
    if not prompts.length or block < prompts.blocks[0]:
        return {**_input_positions(backbone), 'prompts': slice(0, 0)}
    start = sequence.prompt_start
    return {
        '[CLS]': slice(0, 1),
        'patches': sequence.patches,
        '[MASK]': sequence.masks,
        'prompts': slice(start, start + prompts.length),
    }
