"""Measure VPTM beside other implementations of the same blocks.

    python tools/benchmark.py --threads 2 --out work_dirs/benchmark.json
    python tools/benchmark.py --growth --threads 2 --out work_dirs/growth.json

Ours beside MMPretrain's stock blocks, and beside timm's and Hugging Face
transformers' where they are installed (`vptm_mm[bench]`): one sequence with
prompts and [MASK], one position bias, one set of weights. Nothing is timed
before all agree. One process, repetitions interleaved, medians. Weights are
random: speed does not depend on them. Ratios are to the stock blocks.

With `--growth` ours alone, along prompt length, prompted blocks, first
prompted block, image size, classes and batch size. A plot is written beside
each JSON file. See docs/performance.md.
"""

import argparse
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import vptm_mm  # noqa: F401

# isort: split

import torch
from mmengine.logging import MMLogger

from vptm_mm.benchmark import entrants as known
from vptm_mm.benchmark.growth import AXES, Point, excess, measure_growth
from vptm_mm.benchmark.measure import (
    INFERENCE,
    TRAINING,
    check,
    device_that_is_timed,
    measure_batch,
)
from vptm_mm.benchmark.memory import give_back, peak_memory_mb
from vptm_mm.benchmark.peers import PEERS, installed_peers
from vptm_mm.benchmark.plots import draw_comparison, draw_growth
from vptm_mm.checkpoints import write_whole
from vptm_mm.kept_memory import keep_freed_memory


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--arch', default='base', help="of MMPretrain's BEiT")
    parser.add_argument('--img-size', type=int, default=224)
    parser.add_argument(
        '--batch-sizes',
        type=int,
        nargs='+',
        help='default: 1 8 32; with --growth, one: 8',
    )
    parser.add_argument('--prompt-length', type=int, default=10)
    parser.add_argument('--repetitions', type=int, default=5)
    parser.add_argument('--threads', type=int, help="default: torch's choice")
    parser.add_argument(
        '--peers',
        nargs='*',
        choices=PEERS,
        help='default: those that are installed',
    )
    parser.add_argument(
        '--bfloat16', action='store_true', help='add all in bfloat16'
    )
    parser.add_argument(
        '--compile', action='store_true', help='add ours through torch.compile'
    )
    parser.add_argument(
        '--growth',
        nargs='*',
        metavar='AXIS',
        help=f'measure growth along axes: {", ".join(AXES)}; default all',
    )
    parser.add_argument('--device', type=device_that_is_timed, default='cpu')
    parser.add_argument(
        '--out', type=Path, help='JSON file; the plot is written beside it'
    )
    args = parser.parse_args()
    if args.prompt_length < 1:
        parser.error('--prompt-length must be at least 1: it is what trains')
    if args.repetitions < 1:
        parser.error('--repetitions must be at least 1')
    if args.threads is not None and args.threads < 1:
        parser.error('--threads must be at least 1')
    for axis in args.growth or ():
        if axis not in AXES:
            parser.error(f'--growth {axis!r} must be of {", ".join(AXES)}')
    args.batch_sizes = args.batch_sizes or (
        [1, 8, 32] if args.growth is None else [8]
    )
    if min(args.batch_sizes) < 1:
        parser.error(f'--batch-sizes {args.batch_sizes} must be at least 1')
    if args.growth is not None:
        if len(args.batch_sizes) > 1:
            parser.error('--growth takes one of --batch-sizes')
        if args.bfloat16 or args.compile or args.peers:
            parser.error('--growth measures ours alone, plain and in float32')
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
    installed = installed_peers()
    if args.peers is None:
        args.peers = installed
    for name in args.peers:
        if name not in installed:
            parser.error(f"--peers {name} is missing; pip install '{name}'")
    return args


def entrant_names(args: argparse.Namespace) -> list[str]:
    ours = [known.OURS, known.LATE, known.CACHED]
    if args.compile:
        ours.insert(1, known.COMPILED)
    names = [known.STOCK, *args.peers, *ours]
    if args.bfloat16:
        names += [name + known.SUFFIX for name in names]
    return names


def compare(
    args: argparse.Namespace, setting: known.Setting
) -> Iterator[dict]:
    names = entrant_names(args)
    entrants = {name: known.make_entrant(name, setting) for name in names}
    differences = check(entrants, setting.images(2))
    rows = []
    for batch_size in args.batch_sizes:
        here = measure_batch(setting, entrants, batch_size, args.repetitions)
        give_back()
        for row in here:
            if row['what'] == TRAINING:
                row['peak_mb'] = peak_memory_mb(
                    row['name'], setting, batch_size
                )
        rows += here
        yield dict(differences=differences, rows=rows)


def grow(args: argparse.Namespace, setting: known.Setting) -> Iterator[dict]:
    start = Point(setting, batch_size=args.batch_sizes[0])
    rows = []
    for axis in args.growth or AXES:
        rows += measure_growth(axis, start, args.repetitions)
        yield dict(rows=rows)


def show_comparison(result: dict) -> None:
    for name, difference in result['differences'].items():
        print(f'{name} agrees within {difference:.1e}')
    limits = {
        (row['batch_size'], row['name'].endswith(known.SUFFIX)): row['limit']
        for row in result['rows']
    }
    for (batch_size, is_narrow), limit in limits.items():
        dtype = 'bfloat16' if is_narrow else 'float32'
        print(f'batch {batch_size}: limit {limit / 1e9:.1f} GFLOP/s, {dtype}')
    print(
        '| batch | what | blocks | s | spread | faster | kept MB | peak MB '
        '| of limit |'
    )
    print('|---' * 9 + '|')
    for row in result['rows']:
        kept, peak = row.get('kept_mb'), row.get('peak_mb')
        print(
            f'| {row["batch_size"]} | {row["what"]} | {row["name"]} '
            f'| {row["median_s"]:.4f} '
            f'| {row["fastest_s"]:.4f} to {row["slowest_s"]:.4f} '
            f'| {row["faster"]:.2f} '
            f'| {"-" if kept is None else f"{kept:.0f}"} '
            f'| {"-" if peak is None else f"{peak:.0f}"} '
            f'| {row["of_limit"]:.0%} |'
        )


def show_growth(result: dict) -> None:
    print('| axis | what | values | s | kept MB | over arithmetic |')
    print('|---' * 6 + '|')
    for axis in dict.fromkeys(row['axis'] for row in result['rows']):
        for what in (INFERENCE, TRAINING):
            rows = [
                row
                for row in result['rows']
                if (row['axis'], row['what']) == (axis, what)
            ]
            times = [f'{row["median_s"]:.3g}' for row in rows]
            kept = [
                f'{row["kept_mb"]:.0f}' for row in rows if 'kept_mb' in row
            ]
            print(
                f'| {axis} | {what} '
                f'| {", ".join(str(row["value"]) for row in rows)} '
                f'| {", ".join(times)} '
                f'| {", ".join(kept) or "-"} | {excess(rows):.2f} |'
            )


def processor(device: str) -> str:
    if device != 'cpu':
        return torch.cuda.get_device_name(device)
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [x.split(':')[1].strip() for x in lines if 'model name' in x]
    name = names[0] if names else platform.processor()
    return f'{name}, {torch.backends.cpu.get_cpu_capability()}'


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('WARNING')
    if args.device == 'cpu':
        keep_freed_memory()  # as runs by tools/ do
    if args.threads:
        torch.set_num_threads(args.threads)
    setting = known.Setting(
        args.arch, args.img_size, args.prompt_length, args.device
    )
    about = dict(
        arch=args.arch,
        img_size=args.img_size,
        prompt_length=args.prompt_length,
        repetitions=args.repetitions,
        threads=torch.get_num_threads(),
        device=args.device,
        processor=processor(args.device),
        date=time.strftime('%Y-%m-%d'),
        python=platform.python_version(),
        **{
            name: importlib.metadata.version(name)
            for name in ('torch', 'mmpretrain', *args.peers)
        },
    )
    measure = compare if args.growth is None else grow
    for result in measure(args, setting):
        if args.out:  # what is measured so far
            text = json.dumps(result | about, indent=2)
            write_whole(args.out, f'{text}\n'.encode())
    print(f'{about["threads"]} threads, {args.device}')
    (show_comparison if args.growth is None else show_growth)(result)
    if args.out:
        draw = draw_comparison if args.growth is None else draw_growth
        print(draw(result['rows'], args.out.with_suffix('.png')))


if __name__ == '__main__':
    main()
