"""Says what to do when memory runs out or a worker process dies."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.runner import BaseLoop, TestLoop, ValLoop

from .last_checkpoint_line import describe_last_checkpoint

NO_MEMORY = re.compile(
    "can't allocate memory|not enough memory|Cannot allocate memory|"
    'out of memory'
)
DEAD_WORKER = re.compile(r'DataLoader worker \(pid.* (killed|exited) ')
SIGNAL = re.compile(r'killed by signal: (\w+( \w+)*)')
REASONS = {
    'Killed': 'it was killed (SIGKILL), as the system does when memory runs '
    'out',
    'Bus error': 'a bus error, as when shared memory is full; in Docker give '
    'more by --shm-size',
}
UNKNOWN = (
    'it was killed, or it ended by itself; the system kills processes when '
    'memory runs out'
)


@contextmanager
def explain_failures(cfg: Config) -> Iterator[None]:
    """Say what a run dies of, where there is something to do about it.

    Args:
        cfg: The merged config.

    Raises:
        RuntimeError: If memory ran out, or a worker process of a data loader
            died; the original error is its cause. Others are left alone.
    """
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        text = _explain(cfg, error)
        if text is None:
            raise
        raise RuntimeError(text) from error


def _explain(cfg: Config, error: Exception) -> str | None:
    message = str(error)
    part = _failing_part(error)
    if DEAD_WORKER.search(message):
        lines = _dead_worker(cfg, part, f'{message} {error.__cause__}')
    elif isinstance(error, MemoryError) or NO_MEMORY.search(message):
        lines = _out_of_memory(cfg, part, error)
    else:
        return None
    if part != 'test':
        lines.append(describe_last_checkpoint(cfg.work_dir))
    return '\n  '.join(lines)


def _failing_part(error: Exception) -> str:
    """Return train, val or test, by the innermost loop."""
    part = 'train'
    for frame, _ in traceback.walk_tb(error.__traceback__):
        loop = frame.f_locals.get('self')
        if isinstance(loop, BaseLoop):
            parts = {ValLoop: 'val', TestLoop: 'test'}
            part = parts.get(type(loop), 'train')
    return part


def _dead_worker(cfg: Config, part: str, message: str) -> list[str]:
    found = SIGNAL.search(message)
    signal = found[1] if found else None
    reason = REASONS.get(signal, signal) if signal else UNKNOWN
    workers = cfg[f'{part}_dataloader'].get('num_workers', 0)
    resume = '' if part == 'test' else '--resume '
    return [
        f'a worker process of {part}_dataloader died: {reason}.',
        f'Try fewer workers, each of which holds batches: {resume}'
        f'--cfg-options {part}_dataloader.num_workers={workers // 2}'
        f'{" (in the process itself, slower)" if workers < 2 else ""}',
    ]


def _out_of_memory(cfg: Config, part: str, error: Exception) -> list[str]:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    batch_size = cfg[f'{part}_dataloader'].batch_size
    smaller = f'{part}_dataloader.batch_size={max(1, batch_size // 2)}'
    lines = [
        f'out of memory: {first:.300}',
        f'in {part}, with {part}_dataloader.batch_size={batch_size}',
    ]
    if part != 'train':
        return [*lines, f'Try --cfg-options {smaller}: the same result']
    counts = cfg.optim_wrapper.get('accumulative_counts', 1)
    lines.append(
        f'Try --cfg-options {smaller} '
        f'optim_wrapper.accumulative_counts={2 * counts}: as many images for '
        'each step'
    )
    on_gpu = isinstance(error, torch.cuda.OutOfMemoryError)
    if on_gpu and cfg.optim_wrapper.get('type') != 'AmpOptimWrapper':
        lines.append('Try --amp: activations in half precision')
    return lines
