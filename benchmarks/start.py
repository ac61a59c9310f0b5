"""Measure what a run takes to begin its first training step.

    python -m benchmarks.start configs/vptm_beitv2-tiny_digits.py

In turn with MMPretrain alone, imported and with the config's encoder built,
each in a process of its own; medians of the processor's seconds, which a busy
machine changes little. Workers that read images do not count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

from mmengine.config import Config

# Both end with the process, as nothing that follows is measured.
HOST = """
import json, os, sys
from mmpretrain.models import BEiTPretrainViT
BEiTPretrainViT(**json.loads(sys.argv[1]))
os._exit(0)
"""
START = """
import os, runpy, sys
from mmengine.model import BaseModel
BaseModel.train_step = lambda *args, **kwargs: os._exit(0)
runpy.run_path('tools/train.py', run_name='__main__')
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--cfg-options', nargs='+', default=[])
    parser.add_argument('--repetitions', type=int, default=5)
    return parser.parse_args()


def seconds(code: str, *arguments: str) -> float:
    """Run code in a new process; return its seconds of the processor."""
    before = os.times()
    subprocess.run(
        [sys.executable, '-c', code, *arguments],
        check=True,
        capture_output=True,
    )
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])  # of children: user, system


def main() -> None:
    args = parse_args()
    options = ['--cfg-options', *args.cfg_options] if args.cfg_options else []
    encoder = Config.fromfile(args.config).model.backbone.encoder.to_dict()
    del encoder['type']
    host, start = [], []
    for _ in range(args.repetitions):
        host.append(seconds(HOST, json.dumps(encoder)))
        with tempfile.TemporaryDirectory() as folder:
            start.append(
                seconds(START, args.config, '--work-dir', folder, *options)
            )
    medians = statistics.median(host), statistics.median(start)
    print(f'MMPretrain imported, its encoder built: {medians[0]:.2f} s')
    print(
        f'first training step begins: {medians[1]:.2f} s, '
        f'{medians[1] / medians[0]:.2f}x'
    )


if __name__ == '__main__':
    main()
