"""Measure VPTM beside other implementations of the same blocks.

    python -m benchmarks.blocks --threads 2 --out work_dirs/benchmark.json

Ours beside MMPretrain's stock blocks, and beside timm's and Hugging Face
transformers' where they are installed (`vptm_mm[bench]`): one sequence with
prompts and [MASK], one position bias, one set of weights. Nothing is timed
before all agree. One process, repetitions in turn, medians. Weights are
random: speed does not depend on them. Ratios are to the stock blocks.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import torch
from mmengine.logging import MMLogger

from vptm_mm.weights import write_whole

from . import entrants as known
from .measure import TRAINING, check, measure_batch
from .memory import give_back, peak_memory_mb
from .peers import PEERS, installed_peers

COLUMNS = ('batch', 'what', 'blocks', 's', 'spread', 'faster', 'kept MB')
COLUMNS += ('peak MB', 'of limit')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('--arch', default='base', help="of MMPretrain's BEiT")
    add('--img-size', type=int, default=224)
    add('--batch-sizes', type=int, nargs='+', default=[1, 8, 32])
    add('--prompt-length', type=int, default=10)
    add('--repetitions', type=int, default=5)
    add('--threads', type=int, help="default: torch's choice")
    add('--peers', nargs='*', choices=PEERS, default=installed_peers())
    add('--bfloat16', action='store_true', help='add all in bfloat16')
    add('--compile', action='store_true', help='add ours by torch.compile')
    add('--device', default='cpu', help='cpu or cuda[:N]')
    add('--out', type=Path, help='JSON file')
    return parser.parse_args()


def entrant_names(args: argparse.Namespace) -> list[str]:
    ours = [known.OURS, known.LATE, known.CACHED]
    if args.compile:
        ours.insert(1, known.COMPILED)
    names = [known.STOCK, *args.peers, *ours]
    if args.bfloat16:
        names += [name + known.SUFFIX for name in names]
    return names


def show(rows: list[dict]) -> None:
    for batch_size, dtype, limit in dict.fromkeys(
        (
            row['batch_size'],
            'bfloat16' if row['name'].endswith(known.SUFFIX) else 'float32',
            row['limit'],
        )
        for row in rows
    ):
        print(f'batch {batch_size}: limit {limit / 1e9:.1f} GFLOP/s, {dtype}')
    print(f'| {" | ".join(COLUMNS)} |\n{"|---" * len(COLUMNS)}|')
    for row in rows:
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


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('WARNING')
    if args.threads:
        torch.set_num_threads(args.threads)
    setting = known.Setting(
        args.arch, args.img_size, args.prompt_length, args.device
    )
    entrants = {
        name: known.make_entrant(name, setting) for name in entrant_names(args)
    }
    differences = check(entrants, setting.images(2))
    for name, difference in differences.items():
        print(f'{name} agrees within {difference:.1e}')
    rows: list[dict] = []
    for batch_size in args.batch_sizes:
        here = measure_batch(setting, entrants, batch_size, args.repetitions)
        give_back()
        for row in here:
            if row['what'] == TRAINING:
                row['peak_mb'] = peak_memory_mb(
                    row['name'], setting, batch_size
                )
        rows += here
        if args.out:  # what is measured so far
            about = dict(
                vars(args),
                out=None,
                threads=torch.get_num_threads(),
                processor=f'{platform.processor()}, '
                f'{torch.backends.cpu.get_cpu_capability()}',
                date=time.strftime('%Y-%m-%d'),
                torch=torch.__version__,
            )
            content = dict(differences=differences, rows=rows, **about)
            write_whole(args.out, json.dumps(content, indent=2) + '\n')
    show(rows)


if __name__ == '__main__':
    main()
