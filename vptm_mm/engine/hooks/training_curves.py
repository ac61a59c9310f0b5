"""Plots how training went."""

import io
from pathlib import Path

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ...weights import write_whole

ACCURACY = 'val/accuracy/top1'


@HOOKS.register_module()
class TrainingCurvesHook(Hook):
    """Write ``training_curves.png``: loss and validation accuracy.

    The host's scalars of the whole run are plotted once, after its end.
    """

    def after_train(self, runner: Runner) -> None:
        """Plot the scalars, which a checkpoint holds as well."""
        scalars = runner.message_hub.log_scalars
        if runner.rank != 0 or 'train/loss' not in scalars:
            return
        # Not at the top: it would slow every start.
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.5), layout='constrained')
        left, right = figure.subplots(1, 2)
        loss = scalars['train/loss'].data[0]
        steps = np.arange(1, len(loss) + 1)
        left.plot(steps, loss, color='0.75')
        window = max(1, len(loss) // 50)
        mean = np.convolve(loss, np.full(window, 1 / window), 'valid')
        left.plot(steps[window - 1 :], mean)
        left.set(xlabel='iteration', ylabel=f'training loss, mean of {window}')
        right.set(xlabel='validation', ylabel='top-1 (%)')
        right.xaxis.get_major_locator().set_params(integer=True)
        if ACCURACY in scalars:
            accuracy = scalars[ACCURACY].data[0]
            right.plot(np.arange(1, len(accuracy) + 1), accuracy, marker='.')
            right.set_title(f'best {accuracy.max():.2f} %', fontsize='medium')
        picture = io.BytesIO()
        figure.savefig(picture, format='png', dpi=120)
        path = Path(runner.work_dir) / 'training_curves.png'
        write_whole(path, picture.getvalue())
        runner.logger.info(f'Training curves: {path}')
