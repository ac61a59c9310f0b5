"""How cost grows along an axis, beside how its arithmetic grows.

Symbols: B batch; K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from mmpretrain.models import BEiTPretrainViT
from torch import Tensor, nn

from ..bricks import PrototypicalVerbalizer
from .entrants import Setting, make_backbone
from .measure import (
    INFERENCE,
    TRAINING,
    count_flops,
    interleaved_seconds,
    kept_mb,
    make_inference,
    make_training_step,
    summary,
)


@dataclass(frozen=True)
class Point:
    """One value on an axis, and all that does not change along it.

    Args:
        setting: What all entrants share.
        prompt_blocks: Blocks with prompts.
        num_classes: Classes K.
        batch_size: Images B.
    """

    setting: Setting
    prompt_blocks: tuple[int, ...] = (0,)
    num_classes: int = 200
    batch_size: int = 8


AXES = (
    'prompt length',
    'prompted blocks',
    'first prompted block',
    'image size',
    'classes',
    'batch size',
)


def make_points(axis: str, start: Point) -> dict[int, Point]:
    """Return the points of an axis by their value.

    Args:
        axis: One of ``AXES``.
        start: What the other axes stay at.
    """
    setting = start.setting
    depth = BEiTPretrainViT.arch_zoo[setting.arch]['num_layers']
    size = setting.img_size
    if axis == 'prompt length':
        return {
            length: replace(
                start, setting=replace(setting, prompt_length=length)
            )
            for length in (0, 10, 50, 100, 200)
        }
    if axis == 'prompted blocks':
        counts = sorted({1, depth // 4, depth // 2, depth})
        return {
            n: replace(start, prompt_blocks=tuple(range(n))) for n in counts
        }
    if axis == 'first prompted block':
        blocks = sorted({*range(0, depth, max(1, depth // 6)), depth - 1})
        return {n: replace(start, prompt_blocks=(n,)) for n in blocks}
    if axis == 'image size':
        # 224 and 384 pixels are 14 and 24 patches.
        return {
            n: replace(start, setting=replace(setting, img_size=n))
            for n in (size, size * 12 // 7)
        }
    if axis == 'classes':
        return {
            n: replace(start, num_classes=n) for n in (10, 100, 1000, 10000)
        }
    return {n: replace(start, batch_size=n) for n in (1, 2, 4, 8, 16, 32)}


class _Classifier(nn.Module):
    """Backbone and verbalizer; without prompts only the latter is tuned."""

    def __init__(self, point: Point) -> None:
        super().__init__()
        self.backbone = make_backbone(point.setting, point.prompt_blocks)
        verbalizer = PrototypicalVerbalizer(
            self.backbone.out_channels, point.num_classes, 128, 0.1, False
        )
        self.verbalizer = verbalizer.to(point.setting.device)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        projected = self.verbalizer.projection(self.backbone(x)[-1])
        return (self.verbalizer(projected),)


def measure_growth(
    axis: str, start: Point, repetitions: int
) -> list[dict[str, Any]]:
    """Measure inference and training along an axis.

    Args:
        axis: One of ``AXES``.
        start: What the other axes stay at.
        repetitions: Times that each point is timed.

    Returns:
        A row for each value and each of both, as ``measure_batch`` has them.
    """
    runs: dict[Any, Callable[[], None]] = {}
    rows: list[dict[str, Any]] = []
    for value, point in make_points(axis, start).items():
        torch.manual_seed(0)
        model = _Classifier(point)
        images = point.setting.images(point.batch_size)
        runs[value, INFERENCE] = make_inference(model, images)
        runs[value, TRAINING] = make_training_step(model, images)
        for what in (INFERENCE, TRAINING):
            row = dict(axis=axis, value=value, what=what)
            row['flops'] = count_flops(runs[value, what])
            if what == TRAINING:
                row['kept_mb'] = kept_mb(model, images)
            rows.append(row)
    times = interleaved_seconds(runs, repetitions, start.setting.device, axis)
    for row in rows:
        row.update(summary(times[row['value'], row['what']]))
    return rows


def excess(rows: list[dict[str, Any]]) -> float:
    """Return how much faster than its arithmetic the time grows, at most.

    From the fastest point per arithmetic to the slowest one behind it: 1 is
    as fast as the arithmetic.
    """
    rates = [row['median_s'] / row['flops'] for row in rows]
    return max(
        rates[later] / min(rates[: later + 1]) for later in range(len(rates))
    )
