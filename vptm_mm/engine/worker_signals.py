"""Keeps the workers of a data loader alive when a run is asked to stop."""

import os
import signal
import threading
from collections.abc import Callable
from functools import partial

from torch.utils.data import DataLoader

STOP_SIGNALS = tuple(
    getattr(signal, name)
    for name in ('SIGINT', 'SIGTERM', 'SIGUSR1')
    if hasattr(signal, name)
)


def shield_workers(loader: DataLoader) -> None:
    """Let workers heed the stop signals of their own process only.

    Slurm and terminals signal all processes of a job. A worker that ended by
    it would take the run down before it has written its checkpoint.
    """
    if not isinstance(loader.worker_init_fn, partial) or (
        loader.worker_init_fn.func is not _start_worker
    ):
        loader.worker_init_fn = partial(_start_worker, loader.worker_init_fn)


def _start_worker(init: Callable[[int], None] | None, worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, 'sigwaitinfo'):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        threading.Thread(target=_heed_parent, daemon=True).start()
    if init is not None:
        init(worker)


def _heed_parent() -> None:
    # torch ends a worker that hangs by SIGTERM.
    while signal.sigwaitinfo(STOP_SIGNALS).si_pid != os.getppid():
        pass
    os._exit(0)
