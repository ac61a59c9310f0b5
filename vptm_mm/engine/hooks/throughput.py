"""Says how many images a second a run trains on."""

import time
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Log how many images a second each epoch has trained on.

    Images of all processes, over the time from the start of the epoch to the
    end of its last step, loading included. Validation and the checkpoint at
    the end are not. The value goes to the log, and to the visualizer's
    backends as ``images_per_second``; ``tools/pretrain.py`` reads it there.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock."""
        self._images = 0
        self._start = time.perf_counter()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Count the images of a step."""
        self._images += len(data_batch['data_samples']) * runner.world_size

    def after_train_epoch(self, runner: Runner) -> None:
        """Divide, unless a checkpoint had all batches of the epoch."""
        if not self._images:
            return
        rate = self._images / (time.perf_counter() - self._start)
        runner.logger.info(
            f'Throughput: {rate:,.1f} images a second, loading included.'
        )
        runner.visualizer.add_scalars(
            {'images_per_second': rate, 'iter': runner.iter}, step=runner.iter
        )
