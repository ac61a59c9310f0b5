"""Keeps the workers of a data loader alive when a run is asked to stop."""

import signal
from collections.abc import Callable

from torch.utils.data import DataLoader

STOP_SIGNALS = tuple(
    getattr(signal, name)
    for name in ('SIGINT', 'SIGTERM', 'SIGUSR1')
    if hasattr(signal, name)
)


class IgnoringWorker:
    """Starts a worker that leaves stop signals to its parent.

    Slurm and terminals signal all processes of a job. A worker that ended by
    it would take the run down before it has written its checkpoint. Torch
    ends workers by a message, and they end without their parent.

    Args:
        init: What starts a worker otherwise.
    """

    def __init__(self, init: Callable[[int], None] | None) -> None:
        self.init = init

    def __call__(self, worker: int) -> None:
        """Start the worker."""
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if self.init is not None:
            self.init(worker)


def shield_workers(loader: DataLoader) -> None:
    """Let the workers of a data loader ignore stop signals."""
    if not isinstance(loader.worker_init_fn, IgnoringWorker):
        loader.worker_init_fn = IgnoringWorker(loader.worker_init_fn)
