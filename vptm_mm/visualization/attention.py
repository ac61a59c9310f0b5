"""Where [MASK] and the prompts look.

Symbols: B batch; H, W rows and columns of patches, N = H * W of them; P prompt
tokens; M [MASK] tokens; S sequence length; C embedding width; D blocks;
h heads; Q tokens that look, [MASK]s or prompts.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from ..nn import PromptTokens, TokenSequence, qkv_bias
from .images import to_uint8
from .style import HEAT, INK, OKABE_ITO, PLACE

KINDS = ('[CLS]', 'patches', '[MASK]', 'prompts')
MAX_MASKS = 9  # rows; above, one row with the mean of all
MAX_PROMPTS = 12  # rows; above, the first ones
CELL = 0.82  # inches
OPACITY, OVERLAY = 0.75, 0.6  # of the heat over the image


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

    Quantifying Attention Flow in Transformers
    <https://arxiv.org/abs/2005.00928>, section 3: heads are averaged, half
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
        ValueError: If it is not a ``VPTMBackbone``.
    """
    sequence = getattr(backbone, 'sequence', None)
    if not isinstance(sequence, TokenSequence) or not sequence.num_masks:
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
    sequence, prompts = backbone.sequence, backbone.tuning.prompt_tokens
    rollout = attention_rollout(weights, prompts, sequence.prompt_start)
    attention = [weight.float().mean(1) for weight in weights]  # (B, S, S)
    kinds = [_kinds(backbone, block) for block in range(len(weights))]
    # Of the inputs, prompts come last.
    inputs = kinds[-1][kinds[-1] != 'prompts']
    late = np.full(rollout.size(-1) - len(inputs), 'prompts')
    steps = [
        *zip(attention, kinds, kinds, strict=True),
        (rollout, kinds[-1], np.concatenate([inputs, late])),
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
        looks = attention[:, rows == kind].cpu()  # (B, Q, S)
        onto = [looks[..., columns == key].sum(-1) for key in KINDS]
        absent = (0, 0, 0, count - looks.size(1))
        for found, values in (
            (patches, looks[..., columns == 'patches']),
            (shares, torch.stack(onto, -1)),
        ):
            found.append(F.pad(values, absent, value=torch.nan))
    return AttentionMaps(torch.stack(patches, 1), torch.stack(shares, 1))


def _kinds(backbone: Any, block: int) -> np.ndarray:
    """Return the kind of each token in the sequence of a block."""
    sequence, prompts = backbone.sequence, backbone.tuning.prompt_tokens
    num_patches = sequence.patches.stop - sequence.patches.start
    kinds = ['[CLS]', *['patches'] * num_patches]
    kinds += ['[MASK]'] * sequence.num_masks
    if prompts.length and block >= prompts.blocks[0]:
        start = sequence.prompt_start
        kinds[start:start] = ['prompts'] * prompts.length
    return np.array(kinds)


@torch.no_grad()
def mask_attention(
    pool: Any, image: Any
) -> tuple[dict[str, dict[str, Any]], dict[str, Tensor]]:
    """Classify an image, and see where the [MASK]s look in the last block.

    The encoder runs once for all tasks. What is returned is the mean over
    heads and [MASK]s; what is missing to 1 goes to [CLS], to [MASK]s and to
    prompts.

    Args:
        pool: A ``VPTMTaskPool``.
        image: What ``pool.prepare`` made of the image, for its tasks.

    Returns:
        For each task what ``pool.predict`` gives, and the share of the
        attention of its [MASK]s on each patch, ``(H, W)``.
    """
    with recorded_attention(pool.encoder) as weights:
        (results,) = pool.classify([image])
    looks = {}
    for name, row in pool.rows(image).items():
        sequence = pool.tasks[name].sequence
        shares = weights[-1][row].float().mean(0)  # (S, S)
        shares = shares[sequence.masks, sequence.patches].mean(0)  # (N,)
        looks[name] = shares.unflatten(0, pool.encoder.patch_resolution).cpu()
    return results, looks


def plot_attention(
    pixels: np.ndarray,
    masks: Tensor,
    prompts: Tensor,
    mask_places: Tensor | None,
    title: str,
) -> Figure:
    """Plot where each [MASK] and each prompt looks in one image.

    A row for each token, a column for each block, the rollout last. Above 9
    [MASK]s their mean is shown; above 12 prompts, the first 12.

    Args:
        pixels: The image, ``(height, width, 3)``, 0-1.
        masks: ``AttentionMaps.patches`` of one image, ``(D + 1, M, N)``.
        prompts: The same of the prompts, ``(D + 1, P, N)``.
        mask_places: ``TokenSequence.mask_places``.
        title: Stands above everything.
    """
    depth, side = len(masks) - 1, math.isqrt(masks.size(-1))
    if mask_places is not None:
        mask_places = (mask_places + 0.5) / side  # 0-1
    rows = _rows(masks, prompts, mask_places)
    size = (CELL * (depth + 2) + 0.9, CELL * len(rows) + 1.5)
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02)
    figure = Figure(figsize=size, layout=layout)
    heights = [1.0] * len(rows) + [0.12]  # the last one for colour bars
    grid = figure.add_gridspec(len(rows) + 1, depth + 2, height_ratios=heights)
    axes = [
        [figure.add_subplot(grid[row, column]) for column in range(depth + 2)]
        for row in range(len(rows))
    ]
    # Two scales: the residual connections make the rollout more even.
    scales = [
        _scale([maps[part] for _, maps, _ in rows])
        for part in (slice(depth), slice(depth, None))
    ]
    for row, (name, maps, places) in enumerate(rows):
        _show_image(axes[row][0], pixels, places)
        axes[row][0].set_ylabel(
            name, rotation=0, ha='right', va='center', fontsize=8, color=INK
        )
        for step, ax in enumerate(axes[row][1:]):
            _show_heat(ax, pixels, maps[step], scales[step == depth])
    heads = ['image', *(f'block {i}' for i in range(depth)), 'rollout']
    for ax, head in zip(axes[0], heads, strict=True):
        ax.set_title(head, fontsize=8, color=INK)
    for scale, place, text in (
        (scales[0], grid[-1, 1:-1], 'share of the attention on a patch (%)'),
        (scales[1], grid[-1, -1], '%'),
    ):
        bar = figure.colorbar(
            ScalarMappable(scale, HEAT),
            cax=figure.add_subplot(place),
            orientation='horizontal',
            alpha=OPACITY,
            extend='both',
        )
        bar.set_label(text, fontsize=8, color=INK)
        bar.ax.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=10, color=INK)
    return figure


def _rows(
    masks: Tensor, prompts: Tensor, places: Tensor | None
) -> list[tuple[str, Tensor, Tensor | None]]:
    """Name what looks in each row, and say where it stands in the image."""
    num_masks = masks.size(1)
    if num_masks > MAX_MASKS:
        rows = [(f'{num_masks}\n[MASK]s', masks.mean(1), places)]
    else:
        rows = [
            (
                f'[MASK] {i}' if num_masks > 1 else '[MASK]',
                masks[:, i],
                None if places is None else places[i : i + 1],
            )
            for i in range(num_masks)
        ]
    shown = min(prompts.size(1), MAX_PROMPTS)
    return rows + [(f'prompt {i}', prompts[:, i], None) for i in range(shown)]


def _scale(maps: list[Tensor]) -> Normalize:
    values = np.concatenate([m.numpy().ravel() for m in maps])
    values = values[np.isfinite(values)]
    # A few sharp patches would leave all others dark.
    return Normalize(*(100 * np.quantile(values, [0.01, 0.99])))


def _bare(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _show_image(ax: Axes, pixels: np.ndarray, places: Tensor | None) -> None:
    """Show the image, and a ring where [MASK] stands."""
    _bare(ax)
    ax.imshow(pixels, extent=(0, 1, 1, 0), interpolation='nearest')
    if places is not None:
        style: dict[str, Any] = dict(
            mfc='none', mec=PLACE, ms=8, mew=2, ls='none'
        )
        ax.plot(places[:, 1], places[:, 0], 'o', **style)


def _show_heat(
    ax: Axes, pixels: np.ndarray, looks: Tensor, scale: Normalize
) -> None:
    _bare(ax)
    if not looks.isfinite().all():
        ax.set(xlim=(0, 1), ylim=(1, 0), aspect='equal')
        ax.text(
            *(0.5, 0.5, 'not yet\nentered'),
            ha='center',
            va='center',
            fontsize=7,
            color=INK,
        )
        return
    side = math.isqrt(len(looks))
    style: dict[str, Any] = dict(extent=(0, 1, 1, 0), interpolation='nearest')
    ax.imshow(pixels.mean(-1), cmap='gray', vmin=0, vmax=1, **style)
    heat = 100 * looks.view(side, side).numpy()
    ax.imshow(heat, cmap=HEAT, norm=scale, alpha=OPACITY, **style)


def plot_shares(masks: Tensor, prompts: Tensor, title: str) -> Figure:
    """Plot what kinds of tokens are looked at, averaged over the images.

    Args:
        masks: ``AttentionMaps.shares`` of the [MASK]s, ``(B, D + 1, M, 4)``.
        prompts: The same of the prompts; without any, there is one panel.
        title: Stands above everything.
    """
    panels = [('[MASK] looks', masks), ('the prompts look', prompts)]
    panels = [(name, shares) for name, shares in panels if shares.size(2)]
    depth = masks.size(1) - 1
    width = max(4.0, 0.45 * depth + 2.2)
    figure = Figure(figsize=(width * len(panels), 3.3), layout='constrained')
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    steps = [*map(str, range(depth)), 'rollout']
    for ax, (name, shares) in zip(axes, panels, strict=True):
        means = 100 * shares.mean((0, 2)).numpy()  # (D + 1, 4)
        bottom = np.zeros(depth + 1)
        for kind, color, share in zip(KINDS, OKABE_ITO, means.T, strict=False):
            ax.bar(steps, share, bottom=bottom, color=color, label=kind)
            bottom += share
        ax.set_title(f'what {name} at', fontsize=9, color=INK)
        ax.set(xlabel='block', ylim=(0, 100))
    axes[0].set_ylabel('share of the attention (%)')
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc='outside lower center',
        ncols=len(KINDS),
        frameon=False,
    )
    figure.suptitle(title, fontsize=10, color=INK)
    return figure


def overlay_attention(pixels: np.ndarray, looks: Tensor) -> np.ndarray:
    """Lay what is looked at over a grey image, dark for 0, bright for most.

    Args:
        pixels: The image, 0-1.
        looks: Share of the attention on each patch.

    Shape:
        - Input: ``(height, width, 3)``, ``(H, W)``
        - Output: ``(height, width, 3)`` in uint8
    """
    heat = colormaps[HEAT]((looks / looks.max()).numpy())[..., :3]
    for axis in (0, 1):
        patch = pixels.shape[axis] // heat.shape[axis]
        heat = heat.repeat(patch, axis)
    grey = pixels.mean(-1, keepdims=True)
    return to_uint8(OVERLAY * heat + (1 - OVERLAY) * grey)
