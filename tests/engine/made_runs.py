"""Training runs in processes of their own, which tests may kill.

A process is forked from a server that has imported everything.
"""

import json
import multiprocessing
import os
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

import vptm_mm  # noqa: F401
from vptm_mm.engine.launch import LOADERS, build_runner, finish_config
from vptm_mm.weights import load_file

from ..conftest import ROOT

EPOCHS, BATCHES = 3, 6
# All that is random in training: order, crops, and a number of each batch.
OPTIONS = {
    'train_dataloader.dataset.indices': 8 * BATCHES,
    'train_dataloader.batch_size': 8,
    'val_dataloader.dataset.indices': 32,
    'test_dataloader.dataset.indices': 32,
    'train_cfg.max_epochs': EPOCHS,
    'model.backbone.prompt_length': 2,
    'model.train_cfg': dict(augments=dict(type='Mixup', alpha=0.8)),
    'model.head.loss': dict(type='CrossEntropyLoss', use_soft=True),
    'data_preprocessor.num_classes': 10,
    'default_hooks.class_means.least_views': 1,
    'resume': True,
}
# What depends on the clock or the memory of the machine.
MEASURED = ('time', 'data_time', 'memory')


class Progress(Hook):
    """Tell the parent where the run is."""

    priority = 'LOWEST'

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def before_run(self, runner) -> None:
        self.pipe.send('set-up')

    def before_train(self, runner) -> None:
        self.pipe.send(f'start at iteration {runner.iter}')

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.pipe.send(f'epoch {runner.epoch + 1}, batch {batch_idx + 1}')

    def after_train_iter(self, runner, batch_idx, **_) -> None:
        self.pipe.send(
            f'epoch {runner.epoch + 1}, after batch {batch_idx + 1}'
        )

    def before_val_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.pipe.send(f'validation {runner.epoch}')

    def before_test_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.pipe.send('test')


def train(
    folder: Path, pipe: Connection, workers: int, options: dict, rank: int
) -> None:
    """Train the digits in ``folder``, or go on where it was left."""
    with (folder.parent / f'{folder.name}_{rank}.txt').open('a') as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    torch.set_num_threads(1)
    cfg = Config.fromfile(ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py')
    cfg.merge_from_dict(
        {
            **OPTIONS,
            'train_dataloader.num_workers': workers,
            'val_dataloader.num_workers': workers,
            'work_dir': str(folder),
            'launcher': 'pytorch' if 'RANK' in os.environ else 'none',
            **options,
        }
    )
    finish_config(cfg)
    sync = os.fsync

    def slow_sync(descriptor: int) -> None:
        path = Path(os.readlink(f'/proc/self/fd/{descriptor}'))
        pipe.send('written' if path.is_dir() else f'writing {path.name}')
        time.sleep(0.1)
        sync(descriptor)

    with patch('os.fsync', slow_sync):
        runner = build_runner(cfg, LOADERS)
        runner.register_hook(Progress(pipe))
        runner.train()
    pipe.send('end')


class Run:
    """A started run; its moments can be awaited."""

    def __init__(
        self, folder: Path, workers: int = 0, rank: int = 0, **options: Any
    ) -> None:
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload([__name__])
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=train, args=(folder, theirs, workers, options, rank)
        )
        self.process.start()
        theirs.close()
        self.moments: list[str] = []

    def wait_for(self, count: int) -> None:
        """Read so many moments."""
        while len(self.moments) < count:
            self.moments.append(self.pipe.recv())

    def wait_for_text(self, text: str) -> None:
        """Read moments up to the one of this name."""
        while text not in self.moments:
            self.moments.append(self.pipe.recv())

    def end(self) -> int:
        """Read what is left, and return the exit code."""
        try:
            while True:
                self.moments.append(self.pipe.recv())
        except EOFError:
            self.process.join()
        return self.process.exitcode

    def kill(self) -> None:
        """Send SIGKILL; a run that has just ended by itself may stay so."""
        self.process.kill()
        self.process.join()
        # Not up to the end of the pipe, which a worker may hold still.
        with suppress(EOFError):
            while self.pipe.poll():
                self.moments.append(self.pipe.recv())


def outcome(folder: Path) -> dict[str, Any]:
    """What a run has left, without what a clock has measured."""
    files = sorted(p.name for p in folder.iterdir() if not p.is_dir())
    content: dict[str, Any] = dict(files=files)
    for name in files:
        path = folder / name
        if name.endswith('.pth'):
            content[name] = _without_times(load_file(path))
        elif name == 'test_results.json':
            content[name] = json.loads(path.read_text())
        elif name.endswith('task.safetensors'):
            content[name] = path.read_bytes()
    return content


def _without_times(checkpoint: dict) -> dict:
    hub = checkpoint.pop('message_hub')
    meta = checkpoint.pop('meta')
    info = hub['runtime_info']
    return dict(
        checkpoint,
        scalars={
            name: buffer
            for name, buffer in hub['log_scalars'].items()
            if name.partition('/')[2] not in MEASURED
        },
        position=(meta['epoch'], meta['iter']),
        kept=info['keep_ckpt_ids'],
        best=info.get('best_score'),
        best_name=Path(info.get('best_ckpt', '')).name,
    )


def differences(one: Any, two: Any, where: str = '') -> list[str]:
    """Names of what is not bit-identical in two outcomes."""
    if type(one) is not type(two):
        return [f'{where}: {type(one)} and {type(two)}']
    if isinstance(one, dict):
        found = [f'{where}/{k}' for k in one.keys() ^ two.keys()]
        for key in one.keys() & two.keys():
            found += differences(one[key], two[key], f'{where}/{key}')
        return found
    if isinstance(one, (list, tuple)) and len(one) == len(two):
        pairs = enumerate(zip(one, two, strict=True))
        return [
            text
            for i, pair in pairs
            for text in differences(*pair, f'{where}/{i}')
        ]
    if isinstance(one, HistoryBuffer):
        return differences(one.data, two.data, where)
    if isinstance(one, torch.Tensor):
        equal = one.dtype == two.dtype and torch.equal(one, two)
    elif isinstance(one, np.ndarray):
        equal = np.array_equal(one, two)
    else:
        equal = one == two
    return [] if equal else [where]
