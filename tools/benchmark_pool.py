"""Measure a pool of tasks on one frozen BEiT v2, ViT-B/16, 224 px.

    python tools/benchmark_pool.py --out docs/pool_benchmark.json

Memory, the time to add a task, and images per second: a batch of one task, a
batch in which every image has a task of its own, and a full model a task, one
after the other. All in one process, repetitions interleaved, medians. Weights
are random: speed and memory do not depend on them.
"""

import argparse
import gc
import json
import multiprocessing
import platform
import statistics
import sys
import tempfile
from pathlib import Path

import vptm_mm  # noqa: F401

# isort: split

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpretrain import get_model
from rich.progress import track

from vptm_mm.benchmark.measure import device_that_is_timed, seconds
from vptm_mm.checkpoints import make_task, read_task, write_task
from vptm_mm.fresh_process import resident_bytes
from vptm_mm.models import VPTMBackbone, VPTMTaskPool

CONFIG = Path(__file__).parents[1] / 'configs' / 'vptm_beitv2_cub.py'
NUM_CLASSES = 200


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--tasks', type=int, nargs='+', default=[1, 10, 100, 1000]
    )
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--repetitions', type=int, default=5)
    parser.add_argument(
        '--models', type=int, default=4, help='full models to compare with'
    )
    parser.add_argument('--device', type=device_that_is_timed, default='cpu')
    parser.add_argument('--out', type=Path, help='JSON file')
    args = parser.parse_args()
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
    counts = (args.batch_size, args.repetitions, args.models, *args.tasks)
    if min(counts) < 1:
        parser.error('numbers of tasks, images, models must be at least 1')
    if args.batch_size % args.models or args.models > max(args.tasks):
        parser.error(
            f'--models {args.models} must divide --batch-size '
            f'{args.batch_size}, and be no more than the tasks'
        )
    return args


def memory(device: str) -> float:
    """Memory of this process, or what it holds on the GPU, in MB."""
    gc.collect()
    if device != 'cpu':
        return torch.cuda.memory_allocated(device) / 1e6
    resident = resident_bytes('VmRSS')
    if resident is None:
        sys.exit('the memory of a process on a CPU is only told by Linux')
    return resident / 1e6


def make_config(folder: Path) -> Config:
    config = Config.fromfile(CONFIG)
    config.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(folder / 'weights.pth')
    )
    return config


def make_files(folder: Path) -> None:
    """Random weights in a file, as if pre-trained, and a task on them."""
    config = make_config(folder)
    backbone = VPTMBackbone(config.model.backbone.encoder, prompt_length=0)
    state = {
        f'backbone.{name}': torch.randn(tensor.shape) * 0.02
        for name, tensor in backbone.frozen_state_dict().items()
    }
    torch.save(dict(state_dict=state), folder / 'weights.pth')
    names = [f'class {i}' for i in range(NUM_CLASSES)]
    task = make_task(get_model(config), config, names)
    write_task(task, folder / 'task.safetensors')


def measure(args: argparse.Namespace, folder: Path) -> dict:
    # In another process, so that its memory is not counted as free here.
    maker = multiprocessing.get_context('spawn').Process(
        target=make_files, args=(folder,)
    )
    maker.start()
    maker.join()
    if maker.exitcode:
        sys.exit('the files to measure with could not be made, see above')
    path = folder / 'task.safetensors'
    size = path.stat().st_size

    before = memory(args.device)
    pool = VPTMTaskPool.from_files({'task 0': path}).to(args.device)
    pool_memory = memory(args.device) - before
    task = read_task(path)
    images = torch.randn(args.batch_size, 3, 224, 224, device=args.device)
    single = ['task 0'] * args.batch_size
    pool(images, single)  # warm-up
    rows = []
    for count in args.tasks:
        start_memory, start_count = memory(args.device), len(pool.tasks)
        times = []
        for i in track(
            range(start_count, count), description=f'{count} tasks'
        ):
            times.append(
                seconds(lambda i=i: pool.add(path, f'task {i}'), args.device)
            )
        added = memory(args.device) - start_memory
        mixed = [f'task {i % count}' for i in range(args.batch_size)]
        runs: dict[str, list[float]] = dict(single=[], mixed=[])
        for _ in range(args.repetitions):
            for name, tasks in (('single', single), ('mixed', mixed)):
                runs[name].append(
                    seconds(lambda t=tasks: pool(images, t), args.device)
                )
        rate = {
            name: args.batch_size / statistics.median(values)
            for name, values in runs.items()
        }
        rows.append(
            dict(
                tasks=count,
                added_mb_per_task=added / max(count - start_count, 1)
                if times
                else None,
                add_ms=statistics.median(times) * 1e3 if times else None,
                single_images_per_s=rate['single'],
                mixed_images_per_s=rate['mixed'],
                ratio=statistics.median(
                    s / m
                    for s, m in zip(runs['single'], runs['mixed'], strict=True)
                ),
            )
        )
    return dict(
        rows=rows,
        task_file_kb=size / 1e3,
        task_tensors_kb=task.num_bytes / 1e3,
        pool_with_one_task_mb=pool_memory,
        full_models=measure_full_models(
            args, make_config(folder), pool, images
        ),
        batch_size=args.batch_size,
        repetitions=args.repetitions,
        threads=torch.get_num_threads(),
        device=args.device,
        torch=torch.__version__,
        python=platform.python_version(),
    )


@torch.no_grad()
def measure_full_models(
    args: argparse.Namespace,
    config: Config,
    pool: VPTMTaskPool,
    images: torch.Tensor,
) -> dict:
    """A model a task: each gets the images of its task."""
    before = memory(args.device)
    models = [
        get_model(config, device=args.device) for _ in range(args.models)
    ]
    mb = (memory(args.device) - before) / args.models
    chunks = images.chunk(args.models)
    mixed = [
        f'task {i}'
        for i, chunk in enumerate(chunks)
        for _ in range(len(chunk))
    ]
    times: dict[str, list[float]] = dict(pool=[], models=[])

    def run_models() -> None:
        for model, chunk in zip(models, chunks, strict=True):
            model(chunk)

    run_models()
    for _ in range(args.repetitions):
        times['pool'].append(seconds(lambda: pool(images, mixed), args.device))
        times['models'].append(seconds(run_models, args.device))
    return dict(
        models=args.models,
        mb_per_model=mb,
        images_per_s=len(images) / statistics.median(times['models']),
        pool_images_per_s=len(images) / statistics.median(times['pool']),
    )


def show(result: dict) -> None:
    print('| tasks | MB a task | ms to add | single | mixed | ratio |')
    print('|---|---|---|---|---|---|')
    for row in result['rows']:
        added, ms = row['added_mb_per_task'], row['add_ms']
        print(
            f'| {row["tasks"]:,} '
            f'| {"-" if added is None else f"{added:.2f}"} '
            f'| {"-" if ms is None else f"{ms:.1f}"} '
            f'| {row["single_images_per_s"]:.2f} '
            f'| {row["mixed_images_per_s"]:.2f} | {row["ratio"]:.2f} |'
        )
    full = result['full_models']
    print(
        f'one pool with one task {result["pool_with_one_task_mb"]:.0f} MB; a '
        f'full model a task {full["mb_per_model"]:.0f} MB each, '
        f'{full["models"]} of them {full["images_per_s"]:.2f} images/s, the '
        f'pool {full["pool_images_per_s"]:.2f}'
    )


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('WARNING')
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args, Path(folder))
    show(result)
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
    main()
