"""Processes whose memory is their own, to be measured."""

import multiprocessing
from pathlib import Path
from typing import Any

STATUS = Path('/proc/self/status')


def fresh_context(preload: str, gpu: bool) -> Any:
    """Return a context of ``multiprocessing`` whose processes start clean.

    Without a GPU they are forked from a server that has imported a module and
    done nothing else. With one they are started from scratch, because CUDA
    does not survive a fork.

    Args:
        preload: The module.
        gpu: Whether they use a GPU.
    """
    if gpu or 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([preload])
    return context


def resident_bytes(what: str) -> int | None:
    """Return what this process has in memory; None if the system is silent.

    Args:
        what: ``'VmRSS'``, now, or ``'VmHWM'``, at its peak.
    """
    if not STATUS.is_file():
        return None
    for line in STATUS.read_text().splitlines():
        if line.startswith(f'{what}:'):
            return int(line.split()[1]) * 1024
    return None
