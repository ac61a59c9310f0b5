"""Measure a pool of tasks on one frozen BEiT v2, ViT-B/16, 224 px.

    python -m benchmarks.pool --out work_dirs/pool.json

Memory, the time to add a task, and images a second: a batch of one task, and a
batch in which every image has a task of its own. Repetitions in turn, medians.
Weights are random: speed and memory do not depend on them.
"""

import argparse
import gc
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpretrain import get_model

from vptm_mm.fresh_process import resident_bytes
from vptm_mm.models import VPTMBackbone
from vptm_mm.models.encoder import DTYPES
from vptm_mm.tasks import VPTMTaskPool, make_task, write_task
from vptm_mm.weights import write_whole

from .measure import time_in_turn

CONFIG = Path(__file__).parents[1] / 'configs' / 'vptm_beitv2_cub.py'
NUM_CLASSES = 200


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('--tasks', type=int, nargs='+', default=[1, 10, 100, 1000])
    add('--batch-size', type=int, default=8)
    add('--repetitions', type=int, default=5)
    add('--device', default='cpu', help='cpu or cuda[:N]')
    add('--dtype', default='float32', choices=[*DTYPES], help='of the encoder')
    add('--out', type=Path, help='JSON file')
    return parser.parse_args()


def memory_mb(device: str) -> float:
    """Memory of this process, or what it holds on the GPU."""
    gc.collect()
    if device != 'cpu':
        return torch.cuda.memory_allocated(device) / 1e6
    return (resident_bytes('VmRSS') or 0) / 1e6


def make_files(folder: Path, dtype: str) -> None:
    """Write random weights, as if pre-trained, and a task on them."""
    config = Config.fromfile(CONFIG)
    config.model.backbone.dtype = dtype
    weights = folder / 'weights.pth'
    config.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(weights)
    )
    backbone = VPTMBackbone(config.model.backbone.encoder, prompt_length=0)
    state = {
        f'backbone.{name}': torch.randn(tensor.shape) * 0.02
        for name, tensor in backbone.frozen_state_dict().items()
    }
    torch.save(dict(state_dict=state), weights)
    names = [f'class {i}' for i in range(NUM_CLASSES)]
    task = make_task(get_model(config), config, names)
    write_task(task, folder / 'task.safetensors')


def measure(args: argparse.Namespace, folder: Path) -> list[dict]:
    # In another process, so that its memory is not counted as free here.
    maker = multiprocessing.get_context('spawn').Process(
        target=make_files, args=(folder, args.dtype)
    )
    maker.start()
    maker.join()
    path = folder / 'task.safetensors'
    before = memory_mb(args.device)
    pool = VPTMTaskPool.from_files({'task 0': path}).to(args.device)
    print(f'one task: {memory_mb(args.device) - before:.0f} MB')
    images = torch.randn(args.batch_size, 3, 224, 224, device=args.device)
    single = ['task 0'] * args.batch_size
    rows = []
    for count in args.tasks:
        start_mb, start_count = memory_mb(args.device), len(pool.tasks)
        times = []
        for i in range(start_count, count):
            since = time.perf_counter()
            pool.add(path, f'task {i}')
            times.append(time.perf_counter() - since)
        added = memory_mb(args.device) - start_mb
        mixed = [f'task {i % count}' for i in range(args.batch_size)]
        taken = time_in_turn(
            dict(
                single=lambda: pool(images, single),
                mixed=lambda tasks=mixed: pool(images, tasks),
            ),
            args.repetitions,
            f'{count} tasks',
        )
        rates = {k: args.batch_size / t.median for k, t in taken.items()}
        rows.append(
            dict(
                tasks=count,
                mb_per_task=added / len(times) if times else None,
                add_ms=statistics.median(times) * 1e3 if times else None,
                **rates,
                ratio=rates['mixed'] / rates['single'],
            )
        )
    return rows


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('WARNING')
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(args, Path(folder))
    print('| tasks | MB a task | ms to add | single | mixed | ratio |')
    print('|---|---|---|---|---|---|')
    for row in rows:
        cells = (
            '-' if value is None else f'{value:.2f}'
            for key, value in row.items()
            if key != 'tasks'
        )
        print(f'| {row["tasks"]:,} | {" | ".join(cells)} |')
    if args.out:
        write_whole(args.out, json.dumps(rows, indent=2) + '\n')


if __name__ == '__main__':
    main()
