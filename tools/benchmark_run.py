"""Measure where the time of a whole run goes, and how long it takes to start.

    python tools/benchmark_run.py configs/vptm_beitv2-tiny_digits.py

Trains as tools/train.py does, in a fresh process, and prints the seconds of
each stage. Before that it starts the run up to its first training step several
times, in turn with MMPretrain alone, imported and with its encoder built.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Nothing else is imported here: the import is one of the stages.
HOST, START, RUN = 'host', 'start', 'run'


class Clock:
    """Adds up seconds by stage; a stage within another is not part of it.

    But all that happens within an evaluation or a test is.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since = time.time()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside as ``name``."""
        self._book()
        self._stack.append(name)
        try:
            yield
        finally:
            self._book()
            self._stack.pop()

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Count each call of a function or method as ``name``."""
        function: Callable[..., Any] = getattr(owner, attribute)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return function(*args, **kwargs)

        setattr(owner, attribute, timed)

    def _book(self) -> None:
        now = time.time()
        name = self._stack[-1] if self._stack else 'rest'
        for whole in ('evaluation', 'test'):
            if whole in self._stack:
                name = whole
        self.seconds[name] += now - self._since
        self._since = now


class FirstStepError(Exception):
    """Ends a run that is only started."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--cfg-options', nargs='+', default=[])
    parser.add_argument(
        '--starts', type=int, default=5, help='times that a start is timed'
    )
    parser.add_argument('--out', type=Path, help='JSON file')
    # Of the processes that this one starts.
    parser.add_argument('--stage', help=argparse.SUPPRESS)
    parser.add_argument('--started', type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.starts < 1:
        parser.error('--starts must be at least 1')
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
    return args


def run_stage(args: argparse.Namespace) -> None:
    """What a child process does: run, and print its stages."""
    clock = Clock()
    clock.seconds['python'] = time.time() - args.started
    if args.stage == HOST:
        start_host(clock, json.loads(args.config))
    else:
        with tempfile.TemporaryDirectory() as folder:
            run(clock, args, folder)
    total = time.time() - args.started
    print('\n' + json.dumps(dict(total=total, seconds=clock.seconds)))


def start_host(clock: Clock, arch: dict[str, Any]) -> None:
    with clock.stage('import'):
        from mmpretrain.models import BEiTPretrainViT
    with clock.stage('build'):
        BEiTPretrainViT(**arch)


def run(clock: Clock, args: argparse.Namespace, folder: str) -> None:
    with clock.stage('import'):
        import vptm_mm  # noqa: F401

        # isort: split

        from mmengine.model import BaseModel
        from mmengine.optim import OptimWrapper
        from mmengine.runner import Runner, TestLoop, ValLoop
        from torch.utils.data.dataloader import _BaseDataLoaderIter

        from vptm_mm.engine import ClassMeanPrototypesHook
        from vptm_mm.engine.launch import (
            LOADERS,
            add_common_arguments,
            build_runner,
            finish_config,
            load_config,
        )
        from vptm_mm.models.backbones import frozen_beit
    with clock.stage('config'):
        parser = argparse.ArgumentParser()
        parser.add_argument('config')
        add_common_arguments(parser)
        flags = [args.config, '--work-dir', folder]
        if args.cfg_options:
            flags += ['--cfg-options', *args.cfg_options]
        options = parser.parse_args(flags)
        cfg = load_config(options)
        finish_config(cfg, options, persistent_workers=True)
    clock.wrap(frozen_beit, 'read_pretrained', 'load weights')
    clock.wrap(_BaseDataLoaderIter, '__next__', 'data')
    clock.wrap(BaseModel, '_run_forward', 'forward')
    clock.wrap(OptimWrapper, 'backward', 'backward')
    clock.wrap(OptimWrapper, 'step', 'optimizer')
    clock.wrap(Runner, 'save_checkpoint', 'checkpoints')
    clock.wrap(Runner, 'call_hook', 'hooks')
    clock.wrap(ValLoop, 'run', 'evaluation')
    clock.wrap(TestLoop, 'run', 'test')
    clock.wrap(ClassMeanPrototypesHook, 'before_train', 'class means')
    if args.stage == START:

        def stop(*_: Any, **__: Any) -> None:
            raise FirstStepError

        BaseModel.train_step = stop
    with clock.stage('build'):
        runner = build_runner(cfg, LOADERS)
    with clock.stage('loop'):
        try:
            runner.train()
        except FirstStepError:
            return


def start_child(
    stage: str, config: str, cfg_options: Sequence[str] = ()
) -> dict[str, Any]:
    """Run a stage in a fresh process; return its total and its stages."""
    command = [
        *(sys.executable, __file__, config, '--stage', stage),
        *('--started', str(time.time())),
    ]
    if cfg_options:
        command += ['--cfg-options', *cfg_options]
    child = subprocess.run(command, capture_output=True, text=True)
    if child.returncode:
        sys.exit(child.stderr)
    return json.loads(child.stdout.splitlines()[-1])


def read_encoder(config: str) -> str:
    """Return the arguments of the encoder of a config, as JSON."""
    from mmengine.config import Config

    encoder = Config.fromfile(config).model.backbone.encoder.to_dict()
    del encoder['type']
    return json.dumps(encoder)


def main() -> None:
    args = parse_args()
    if args.stage is not None:
        run_stage(args)
        return
    encoder = read_encoder(args.config)
    starts: dict[str, list[float]] = {HOST: [], START: []}
    for _ in range(args.starts):
        starts[HOST].append(start_child(HOST, encoder)['total'])
        start = start_child(START, args.config, args.cfg_options)
        starts[START].append(start['total'])
    medians = {stage: statistics.median(t) for stage, t in starts.items()}
    ratio = medians[START] / medians[HOST]
    print(f'MMPretrain imported, its encoder built: {medians[HOST]:.2f} s')
    print(f'first training step begins: {medians[START]:.2f} s, {ratio:.2f}x')
    show_stages(start)
    whole = start_child(RUN, args.config, args.cfg_options)
    print(f'whole run: {whole["total"]:.1f} s')
    show_stages(whole)
    if args.out:
        result = dict(
            starts=starts, medians=medians, ratio=ratio, start=start, run=whole
        )
        args.out.write_text(json.dumps(result, indent=2) + '\n')


def show_stages(measured: dict[str, Any]) -> None:
    """Print the stages as a table, the longest first."""
    print('| stage | s | share |\n|---|---|---|')
    stages = measured['seconds'].items()
    for name, taken in sorted(stages, key=lambda stage: -stage[1]):
        print(f'| {name} | {taken:.2f} | {taken / measured["total"]:.1%} |')


if __name__ == '__main__':
    main()
