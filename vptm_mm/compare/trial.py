"""One run in a process of its own: trains, tests, measures what it costs."""

import json
import multiprocessing
import os
import resource
import sys
import threading
import time
import traceback
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

import vptm_mm  # noqa: F401 (registers everything)

from ..engine.launch import LOADERS, build_runner, finish_config
from ..engine.unwrap import unwrap_model
from ..fresh_process import fresh_context, resident_bytes
from ..nn import trainable_parameters
from ..weights import write_whole

ACCURACY = 'accuracy/top1'
RESULT = 'measured.json'
OUTPUT = 'output.txt'


def start(cfg: dict[str, Any], folder: Path) -> Any:
    """Start a run in a fresh process.

    A crash, or the end of its memory, ends that process only, and its peak
    memory is its own.

    Args:
        cfg: The config, as plain values.
        folder: Work dir of the run.

    Returns:
        The started process.
    """
    context = fresh_context(__name__, torch.cuda.is_available())
    process = context.Process(target=run, args=(cfg, folder))
    process.start()
    return process


def run(cfg: dict[str, Any], folder: Path) -> None:
    """Measure, and leave the result or the error in ``folder``.

    Args:
        cfg: The config, as plain values.
        folder: Work dir of the run; ``measured.json`` is written there.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with (folder / OUTPUT).open('w') as output:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(output.fileno(), stream.fileno())
    began = time.monotonic()
    try:
        result = measure(Config(cfg), folder)
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip() or 'no text'
        result = dict(error=f'{type(error).__name__}: {lines}'[:2000])
    result['seconds'] = round(time.monotonic() - began, 2)
    write_whole(folder / RESULT, json.dumps(result, indent=2) + '\n')


def measure(cfg: Config, folder: Path) -> dict[str, Any]:
    """Train once; test once, if the config has a test set.

    Without validation there is no best checkpoint, and the last is tested.

    Args:
        cfg: The config.
        folder: Work dir of the run.

    Returns:
        ``val`` and ``test``, the best accuracy on validation and the test
        accuracy of that checkpoint, in %, None where there was none;
        ``tuned``, ``tuned_bytes`` and ``total`` parameters;
        ``epoch_seconds``, the median; ``peak_memory`` in bytes and
        ``memory_of``, what it is the memory of.
    """
    if cfg.get('custom_imports'):
        import_modules_from_strings(**cfg.custom_imports)
    cfg.work_dir = str(folder)
    cfg.experiment_name = folder.name
    finish_config(cfg)
    loaders = tuple(filter(cfg.get, LOADERS))
    validates, tests = (name in loaders for name in LOADERS[1:])
    runner = build_runner(cfg, loaders)
    runner.train()
    steps = runner.message_hub.get_scalar('train/time').data[0]
    epochs = np.reshape(steps, (runner.epoch, -1)).sum(1)
    val = test = None
    if validates:
        scalar = runner.message_hub.get_scalar(f'val/{ACCURACY}')
        val = float(scalar.data[0].max())
    if tests:
        test = _tested(folder) if validates else runner.test()[ACCURACY]
    optimizer = cfg.optim_wrapper.optimizer
    trainable = trainable_parameters(unwrap_model(runner.model)).values()
    memory, memory_of = peak_memory()
    result = dict(
        val=val,
        test=test,
        tuned=sum(p.numel() for p in trainable),
        tuned_bytes=sum(p.numel() * p.element_size() for p in trainable),
        total=sum(p.numel() for p in runner.model.parameters()),
        learning_rate=optimizer.lr,
        weight_decay=optimizer.get('weight_decay'),
        epochs=len(epochs),
        epoch_seconds=float(np.median(epochs)),
        peak_memory=memory,
        memory_of=memory_of,
        device=_device(),
    )
    for checkpoint in folder.glob('*.pth'):
        checkpoint.unlink()
    return result


def peak_memory() -> tuple[int, str]:
    """Return the most memory of this process so far, in bytes, and of what.

    On Linux the process' own peak is read: what ``getrusage`` gives, in bytes
    on macOS, includes the peak of the process that started it.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated(), 'GPU, allocated'
    peak = resident_bytes('VmHWM')
    if peak is None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak, 'process, resident'


def _tested(folder: Path) -> float:
    """Return the accuracy of the best checkpoint, which its hook tested."""
    results = json.loads((folder / 'test_results.json').read_text())
    return float(results['metrics'][ACCURACY])


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'CPU, {torch.get_num_threads()} threads'


def _end_with_parent() -> None:
    """Stop when the worker is gone: its run will be given to another."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
