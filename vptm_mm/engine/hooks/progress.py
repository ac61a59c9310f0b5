"""Says how far a run is and how long it will still take."""

import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

LIVE_SECONDS = 0.5
# The host's lines begin with more characters, and so cover the live one.
LIVE_WIDTH = 34


@HOOKS.register_module()
class ProgressHook(Hook):
    """Log progress and the time left by the clock, not by iterations.

    The host's logger writes after so many iterations, which can be an hour on
    a slow machine and a second on a fast one. The time left of a training run
    is that of all its epochs, and counts validation, as far as it has been
    seen. On a terminal a short line shows the same, live; it never gets into
    a file.

    Args:
        seconds: Time between two lines of the log.

    Raises:
        ValueError: If ``seconds`` is not positive.
    """

    # After LoggerHook.
    priority = 'LOW'

    def __init__(self, seconds: float = 60) -> None:
        if seconds <= 0:
            raise ValueError(f'seconds={seconds} must be > 0.')
        self.seconds = seconds
        self._is_live = sys.stdout.isatty()

    def before_train(self, runner: Runner) -> None:
        """Start the clock; a resumed run has iterations behind it."""
        self._train_start = self._drawn = self._written = time.monotonic()
        self._first = runner.iter

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        if mode != 'train':
            self._start = time.monotonic()
            if not hasattr(self, '_written'):  # tested without training
                self._drawn = self._written = self._start

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | Sequence | None = None,
        mode: str = 'train',
    ) -> None:
        now = time.monotonic()
        is_live = self._is_live and runner.rank == 0
        draws = is_live and now - self._drawn >= LIVE_SECONDS
        writes = now - self._written >= self.seconds
        if not draws and not writes:
            return
        if mode == 'train':
            done, total = runner.iter + 1, runner.max_iters
            start, first = self._train_start, self._first
        else:
            loop = runner.val_loop if mode == 'val' else runner.test_loop
            done, total = batch_idx + 1, len(loop.dataloader)
            start, first = self._start, 0
        rate = (now - start) / (done - first)
        left = timedelta(seconds=round(rate * (total - done)))
        share = f'{100 * done / total:.1f} %'
        if draws:
            self._drawn = now
            line = f'{mode} {share}, {left} left'[:LIVE_WIDTH]
            sys.stdout.write(f'{line:<{LIVE_WIDTH}}\r')
            sys.stdout.flush()
        if writes:
            self._written = now
            unit = 'iteration' if mode == 'train' else 'batch'
            runner.logger.info(
                f'Progress({mode}): {unit} {done} of {total} ({share}), '
                f'{left} left.'
            )
