"""Draws how training went."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class TrainingCurvesHook(Hook):
    """Write ``training_curves.png``: loss, validation accuracy per epoch."""

    def after_train(self, runner: Runner) -> None:
        """Draw from the scalars that the runner kept."""
        scalars = runner.message_hub.log_scalars
        if runner.rank != 0 or 'train/loss' not in scalars:
            return
        loss = np.asarray(scalars['train/loss'].data[0], dtype=float)
        accuracy = np.asarray(
            scalars['val/accuracy/top1'].data[0]
            if 'val/accuracy/top1' in scalars
            else []
        )
        figure = Figure(figsize=(9, 3.5), layout='constrained')
        left, right = figure.subplots(1, 2)
        epochs = np.arange(1, len(loss) + 1) * (runner.epoch / len(loss))
        left.plot(epochs, loss, color='0.75', label='each iteration')
        window = max(1, len(loss) // 50)
        if window > 1:
            smooth = np.convolve(loss, np.ones(window) / window, 'valid')
            left.plot(
                epochs[window - 1 :],
                smooth,
                color='tab:blue',
                label=f'mean of {window}',
            )
            left.legend(frameon=False)
        left.set(xlabel='epoch', ylabel='training loss')
        if len(accuracy):
            best = int(accuracy.argmax())
            steps = np.arange(1, len(accuracy) + 1)
            steps = steps * (runner.epoch / len(accuracy))
            right.plot(steps, accuracy, color='tab:orange', marker='.')
            right.axvline(steps[best], color='0.75', zorder=0)
            right.set_title(
                f'best {accuracy[best]:.2f} % at epoch {steps[best]:g}',
                fontsize='medium',
            )
        else:
            right.text(0.5, 0.5, 'no validation', ha='center', va='center')
        right.set(xlabel='epoch', ylabel='validation top-1 (%)')
        path = Path(runner.work_dir) / 'training_curves.png'
        figure.savefig(path, dpi=120)
        runner.logger.info(f'Training curves: {path}')
