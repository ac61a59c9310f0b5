"""Draws how training went."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ...checkpoints import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACCURACY = 'accuracy/top1'
# In the message hub, so that a resumed run draws the whole training. The host
# logs keys that begin with 'val'.
STEPS = 'iterations_of_validations'


@HOOKS.register_module()
class TrainingCurvesHook(Hook):
    """Write ``training_curves.png``: loss and validation accuracy."""

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Remember when this validation took place."""
        if metrics and ACCURACY in metrics:
            steps = runner.message_hub.get_info(STEPS, [])
            runner.message_hub.update_info(STEPS, [*steps, runner.iter])

    def after_train(self, runner: Runner) -> None:
        """Draw from the scalars that the runner kept."""
        scalars = runner.message_hub.log_scalars
        if runner.rank != 0 or 'train/loss' not in scalars:
            return
        # Not at the top: it would slow every start.
        from matplotlib.figure import Figure

        loss = np.asarray(scalars['train/loss'].data[0], dtype=float)
        steps = runner.message_hub.get_info(STEPS, [])
        figure = Figure(figsize=(9, 3.5), layout='constrained')
        left, right = figure.subplots(1, 2)
        _draw_loss(left, loss)
        if steps:
            accuracy = scalars[f'val/{ACCURACY}'].data[0]
            _draw_accuracy(right, steps, np.asarray(accuracy, dtype=float))
        else:
            right.text(0.5, 0.5, 'no validation', ha='center', va='center')
        path = Path(runner.work_dir) / 'training_curves.png'
        picture = io.BytesIO()
        figure.savefig(picture, format='png', dpi=120)
        write_whole(path, picture.getvalue())
        runner.logger.info(f'Training curves: {path}')


def _draw_loss(axes: Axes, loss: np.ndarray) -> None:
    steps = np.arange(1, len(loss) + 1)
    axes.plot(steps, loss, color='0.75', label='each iteration')
    window = max(1, len(loss) // 50)
    if window > 1:
        mean = np.convolve(loss, np.ones(window) / window, 'valid')
        label = f'mean of {window}'
        axes.plot(steps[window - 1 :], mean, color='tab:blue', label=label)
        axes.legend(frameon=False)
    axes.set(xlabel='iteration', ylabel='training loss')


def _draw_accuracy(axes: Axes, steps: list[int], accuracy: np.ndarray) -> None:
    best = int(accuracy.argmax())
    axes.plot(steps, accuracy, color='tab:orange', marker='.')
    axes.axvline(steps[best], color='0.75', zorder=0)
    axes.set_title(
        f'best {accuracy[best]:.2f} % at iteration {steps[best]}',
        fontsize='medium',
    )
    axes.set(xlabel='iteration', ylabel='validation top-1 (%)')
