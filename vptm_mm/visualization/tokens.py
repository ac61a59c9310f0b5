"""Which visual tokens the frozen predictor puts at [MASK].

Symbols: B batch; N patches; M [MASK] tokens; C embedding width; K classes;
V visual tokens; p patch size in pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch import Tensor

from ..weights import count_visual_tokens
from .attention import require_sequence
from .images import to_pixels, true_labels
from .style import INK, short_names

GROUPS = 4  # passes in which each patch is masked once
MAX_CLASSES = 20  # rows; above, the classes whose tokens changed most
TOP = 3  # tokens for each class


def build_untuned(model: Any, cfg: Config) -> Any:
    """Build the backbone as it was before tuning, with its token predictor.

    It has no prompts, and reads the file of the pre-training once more: a
    model with ``visual_token='hidden'`` has dropped the predictor.

    Args:
        model: The tuned classifier.
        cfg: Its config.

    Returns:
        A ``VPTMBackbone`` with ``visual_token='logits'``.

    Raises:
        ValueError: If the model is not a VPTM, the config names no
            pre-training file, that file has no token predictor, or the
            classifier was tuned on other frozen tensors.
    """
    require_sequence(model.backbone)
    backbone_cfg = dict(cfg.model.backbone)
    if backbone_cfg.get('init_cfg') is None:
        raise ValueError(
            'model.backbone.init_cfg=None: tokens are named by the token '
            'predictor of the pre-training; set --cfg-options '
            'model.backbone.init_cfg.checkpoint=PATH to its file.'
        )
    backbone_cfg.update(
        visual_token='logits',
        num_visual_tokens=count_visual_tokens(
            backbone_cfg['init_cfg']['checkpoint']
        ),
        prompt_length=0,
    )
    untuned = MODELS.build(backbone_cfg)
    # What the model was tuned on may be without the token predictor.
    has_predictor = model.backbone.encoder.token_predictor is not None
    tuned_on = model.backbone.identity
    read = untuned.encoder.identity_with(has_predictor)
    if tuned_on != read:
        raise ValueError(
            'the model was tuned on other frozen tensors (sha256 '
            f'{tuned_on.sha256}) than the pre-training file holds '
            f'({read.sha256}); set '
            'model.backbone.init_cfg.checkpoint to the file that it was tuned '
            'on.'
        )
    return untuned.to(model.data_preprocessor.device).eval()


@dataclass(frozen=True)
class TokenCounts:
    """How often each visual token stands at [MASK], by class.

    Args:
        before: Counts of the frozen model without prompts, ``(K, V)``.
        after: Counts of the tuned model, ``(K, V)``.
        unchanged: Share of [MASK]s whose token tuning did not change, 0-1.
    """

    before: Tensor
    after: Tensor
    unchanged: float

    def top(self, label: int, after: bool, limit: int) -> list[int]:
        """Return the most frequent tokens of a class, at most ``limit``."""
        counts = (self.after if after else self.before)[label]
        order = counts.argsort(descending=True, stable=True)[:limit]
        return [int(token) for token in order if counts[token]]

    def changed_classes(self, limit: int) -> list[int]:
        """Return the classes whose tokens changed most, in their order.

        Classes without images are left out.
        """
        before, after = (
            counts / counts.sum(1, keepdim=True).clamp(min=1)
            for counts in (self.before, self.after)
        )
        distance = (before - after).abs().sum(1) / 2  # total variation
        order = distance.argsort(descending=True, stable=True)
        seen = [int(i) for i in order if self.before[i].any()]
        return sorted(seen[:limit])


@torch.no_grad()
def count_tokens(
    model: Any,
    untuned: Any,
    batches: Iterable[dict],
    num_classes: int,
) -> TokenCounts:
    """Count the most probable token at each [MASK], by true class.

    Args:
        model: The tuned classifier.
        untuned: What ``build_untuned`` returns.
        batches: Labelled images, as a data loader gives them.
        num_classes: Classes K.

    Raises:
        ValueError: If an image has no class, or several.
    """
    num_masks = untuned.sequence.num_masks
    num_tokens = untuned.encoder.token_predictor.out_features
    counts = torch.zeros(2, num_classes * num_tokens, dtype=torch.long)
    same, total = 0, 0
    for batch in batches:
        data = model.data_preprocessor(batch, False)
        labels = true_labels(data['data_samples'])
        if labels is None:
            raise ValueError(
                'the images have no true classes, by which tokens are '
                'counted; take a labelled split.'
            )
        (before,) = untuned(data['inputs'])  # (B, M * V)
        (after,) = model.backbone(data['inputs'])
        if model.backbone.encoder.token_predictor is None:
            predictor = untuned.encoder.token_predictor
            after = after.unflatten(1, (num_masks, -1))
            after = predictor(after.to(predictor.weight.dtype))
        ids = [
            logits.view(len(labels), num_masks, num_tokens).argmax(-1).cpu()
            for logits in (before, after.flatten(1))
        ]  # (B, M) each
        same += int((ids[0] == ids[1]).sum())
        total += ids[0].numel()
        for part, tokens in enumerate(ids):
            cells = (labels[:, None] * num_tokens + tokens).flatten()
            counts[part] += torch.bincount(cells, minlength=counts.size(1))
    before, after = counts.view(2, num_classes, num_tokens)
    return TokenCounts(before, after, same / max(total, 1))


@torch.no_grad()
def find_examples(
    model: Any,
    untuned: Any,
    batches: Iterable[dict],
    tokens: list[int],
    limit: int = 3,
) -> dict[int, Tensor]:
    """Find real patches that the predictor takes for given tokens.

    As in the pre-training, patches are masked, and the predictor says what
    was there: each patch once, a quarter of them at a time. Of each image the
    patch with the highest log-probability of a token is a candidate; the best
    candidates are what this token looks like.

    Args:
        model: The classifier; its preprocessor is used.
        untuned: What ``build_untuned`` returns.
        batches: Images, as a data loader gives them.
        tokens: Ids of the tokens.
        limit: Patches for each token.

    Returns:
        For each token its patches, ``(limit, p, p, 3)``, 0-1, best first;
        fewer if there are fewer images.
    """
    best: list[list[tuple[float, Tensor]]] = [[] for _ in tokens]
    for batch in batches:
        inputs = model.data_preprocessor(batch, False)['inputs']
        scores = masked_log_probs(untuned, inputs)[..., tokens].cpu()
        values, places = scores.max(1)  # (B, tokens)
        patches = _cut(torch.from_numpy(to_pixels(model, inputs)), untuned)
        for column, found in enumerate(best):
            found += [
                (float(values[row, column]), patches[row, place])
                for row, place in enumerate(places[:, column].tolist())
            ]
            found.sort(key=lambda pair: -pair[0])
            del found[limit:]
    return {
        token: torch.stack([patch for _, patch in found])
        for token, found in zip(tokens, best, strict=True)
        if found
    }


@torch.no_grad()
def masked_log_probs(untuned: Any, inputs: Tensor) -> Tensor:
    """Predict each patch from the others, in four passes.

    Args:
        untuned: What ``build_untuned`` returns.
        inputs: Preprocessed images.

    Returns:
        Log-probabilities of the tokens, ``(B, N, V)``.
    """
    rows, columns = untuned.encoder.patch_resolution
    # Of each 2x2 patches one, so that a masked patch keeps its neighbours.
    group = torch.arange(rows)[:, None] % 2 * 2 + torch.arange(columns) % 2
    group = group.to(inputs.device)
    parts = []
    for number in range(GROUPS):
        mask = (group == number).expand(len(inputs), -1, -1)
        states = untuned.encoder(inputs, mask)[:, 1:]  # (B, N, C)
        parts.append(states[:, (group == number).flatten()])
    order = torch.cat(
        [(group.flatten() == i).nonzero() for i in range(GROUPS)]
    )
    states = torch.cat(parts, 1)[:, order.flatten().argsort()]  # (B, N, C)
    return untuned.encoder.token_predictor(states).float().log_softmax(-1)


def _cut(pixels: Tensor, untuned: Any) -> Tensor:
    """Cut ``(B, height, width, 3)`` into patches, ``(B, N, p, p, 3)``."""
    rows, columns = untuned.encoder.patch_resolution
    p, q = pixels.size(1) // rows, pixels.size(2) // columns
    grid = pixels.unflatten(2, (columns, q)).unflatten(1, (rows, p))
    return grid.transpose(2, 3).flatten(1, 2)


def shown_tokens(counts: TokenCounts) -> list[int]:
    """Return the tokens that ``plot_tokens`` needs examples of."""
    tokens = {
        token
        for label in counts.changed_classes(MAX_CLASSES)
        for after in (False, True)
        for token in counts.top(label, after, TOP)
    }
    return sorted(tokens)


def plot_tokens(
    counts: TokenCounts,
    examples: Mapping[int, Tensor],
    names: Sequence[str],
) -> Figure:
    """Plot the most frequent tokens of each class, before and after tuning.

    A row a class; for each token its share of the class's [MASK]s, its id and
    the patches that look like it. Above 20 classes, the 20 whose tokens
    changed most.

    Args:
        counts: How often each token stands at [MASK].
        examples: Patches of each token, ``(patches, p, p, 3)``.
        names: Of the classes.
    """
    classes = counts.changed_classes(MAX_CLASSES)
    height = 0.72 * len(classes) + 1.1
    figure = Figure(figsize=(9.6, height), layout='constrained')
    halves: Any = figure.subfigures(1, 2)
    for half, after in zip(halves, (False, True), strict=True):
        half.suptitle(
            'after tuning' if after else 'before tuning (no prompts)',
            fontsize=9,
            color=INK,
        )
        axes = half.subplots(
            len(classes),
            TOP,
            squeeze=False,
            gridspec_kw=dict(wspace=0.1, hspace=0.1),
        )
        for row, label in zip(axes, classes, strict=True):
            total = max(int(counts.before[label].sum()), 1)
            tokens = counts.top(label, after, TOP)
            for ax in row:
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            for ax, token in zip(row, tokens, strict=False):
                found = (counts.after if after else counts.before)[label]
                share = int(found[token]) / total
                _show_patches(ax, examples[token], f'{token}: {share:.0%}')
            if not after:
                (name,) = short_names([names[label]])
                row[0].set_ylabel(
                    name, rotation=0, ha='right', va='center', fontsize=9
                )
    below_title = 1 - 0.45 / height
    line = Line2D([0.5, 0.5], [0.02, below_title], color='0.7', lw=1)
    figure.add_artist(line)
    figure.suptitle(
        'Visual tokens at [MASK], by class: id, share of the class, patches '
        f'that look like it\n{counts.unchanged:.0%} of all [MASK]s have the '
        'same token before and after',
        fontsize=10,
        color=INK,
    )
    return figure


def _show_patches(ax: Axes, patches: Tensor, caption: str) -> None:
    """Show patches side by side, with white lines between them."""
    gap = np.ones((patches.size(1), max(1, patches.size(1) // 8), 3))
    strip = [part for patch in patches.numpy() for part in (patch, gap)]
    ax.imshow(np.concatenate(strip[:-1], 1), interpolation='nearest')
    ax.set_title(caption, fontsize=8, color=INK, pad=2)
