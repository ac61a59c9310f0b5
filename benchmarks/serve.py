"""Measure a server of many tasks, and what it stands beside.

    python -m benchmarks.serve load --out work_dirs/serve_load.csv
    python -m benchmarks.serve apart --arch base --dtype bfloat16
    python -m benchmarks.serve peft --quick

- ``load``: images a second and latencies, by tasks and callers.
- ``one-task``: images of many tasks, and of one, on the same server.
- ``apart``: the same server, and one that runs a batch for each task.
- ``direct``: one caller of the server, and the pool in this process.
- ``processes``: the same server, and a server for each of four tasks.
- ``memory``: a server of one task, and of many.
- ``peft``: a pool beside LoRA adapters of peft, both in this process.

The server is another process, and the callers are threads of this one. The
tasks are one task file with random prototypes. What is compared takes turns.
The weights of ``base`` are random: speed does not depend on them.
"""

import argparse
import csv
import io
import itertools
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger
from PIL import Image

from vptm_mm.tasks import VPTMTaskPool, read_task, write_task
from vptm_mm.upload import Limits, read_upload
from vptm_mm.weights import write_whole

from .load import (
    ROOT,
    Load,
    Server,
    ServerOfEachTask,
    replica_mb,
    serving,
    take_turns,
)

TINY_TASK = 'vptm_mm://vptm_beitv2-tiny_digits.safetensors'
TINY_WEIGHTS = 'vptm_mm://beitv2-tiny_digits.pth'
APART = dict(
    RAY_RUNTIME_ENV_HOOK='benchmarks.apart.hook', PYTHONPATH=str(ROOT)
)
LIMITS = Limits(max_bytes=10**7, max_pixels=10**7)
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Material:
    """What is served.

    Args:
        tasks: Folder of the task files.
        weights: Path or address of the pre-trained weights.
        dtype: Of the frozen blocks.
        image: An image file.
    """

    tasks: Path
    weights: str
    dtype: str
    image: bytes

    def names(self, count: int | None = None) -> list[str]:
        """Return the names of the first tasks, of all by default."""
        return sorted(path.stem for path in self.tasks.iterdir())[:count]

    def pool(self, count: int) -> VPTMTaskPool:
        """Return a pool of the first tasks, in this process."""
        tasks = {k: self.tasks / f'{k}.safetensors' for k in self.names(count)}
        first = read_task(next(iter(tasks.values())))
        backbone = dict(first.backbone, dtype=self.dtype)
        pool = VPTMTaskPool.for_task(
            replace(first, backbone=backbone), self.weights
        )
        for name, path in tasks.items():
            pool.add(replace(read_task(path), backbone=backbone), name)
        return pool


def make_material(folder: Path, arch: str, dtype: str, count: int) -> Material:
    """Write task files that differ in their prototypes."""
    source, weights, size = TINY_TASK, TINY_WEIGHTS, 32
    if arch == 'base':
        from .pool import make_files

        if not (folder / 'weights.pth').exists():
            make_files(folder, 'float32')
        source, size = str(folder / 'task.safetensors'), 224
        weights = str(folder / 'weights.pth')
    task = read_task(source)
    tasks = folder / f'{arch} {dtype}'
    tasks.mkdir()
    for number in range(count):
        seed = torch.Generator().manual_seed(number)
        tensors = {
            name: torch.randn(tensor.shape, generator=seed)
            if name.endswith('prototypes')
            else tensor
            for name, tensor in task.tensors.items()
        }
        path = tasks / f'task-{number:04}.safetensors'
        write_task(replace(task, tensors=tensors), path)
    # Smooth, as photos are: noise would take longer to decode.
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    file = io.BytesIO()
    image = Image.fromarray(coarse).resize((size, size), Image.BICUBIC)
    image.save(file, 'JPEG', quality=90)
    return Material(tasks, weights, dtype, file.getvalue())


def load(args: argparse.Namespace, material: Material) -> Rows:
    """Load a server by each number of callers, with each number of tasks."""
    rows = []
    with serving(
        material.tasks, material.weights, '--dtype', material.dtype
    ) as server:
        server.warm_up(material.names(), material.image)
        pairs = [*itertools.product(args.tasks, args.callers)]
        loads = take_turns(
            {
                (count, callers): lambda count=count, callers=callers: (
                    server.ask(
                        callers,
                        material.names(count),
                        material.image,
                        args.seconds,
                    )
                )
                for count, callers in pairs
            },
            args.rounds,
        )
        for (count, callers), seen in loads.items():
            rows.append(dict(tasks=count, callers=callers, **seen.row()))
    return rows


def one_task(args: argparse.Namespace, material: Material) -> Rows:
    """Compare images of many tasks and of one, on the same server."""
    count, callers = max(args.tasks), max(args.callers)
    with serving(
        material.tasks, material.weights, '--dtype', material.dtype
    ) as server:
        server.warm_up(material.names(), material.image)
        ask = server.ask
        loads = take_turns(
            {
                f'{number} tasks': lambda number=number: ask(
                    callers,
                    material.names(number),
                    material.image,
                    args.seconds,
                )
                for number in (1, count)
            },
            args.rounds,
        )
    return compared(loads, callers)


def apart(args: argparse.Namespace, material: Material) -> Rows:
    """Compare the server with one that runs a batch for each task."""
    names = material.names(max(args.tasks))
    flags = (material.tasks, material.weights, '--dtype', material.dtype)
    with serving(*flags, **APART) as other, serving(*flags) as server:
        servers = {'each task apart': other, 'mixed batches': server}
        return ask_in_turns(args, material, servers, names)


def processes(args: argparse.Namespace, material: Material) -> Rows:
    """Compare the server with a server for each of four tasks."""
    names = material.names(4)
    flags = (material.weights, '--dtype', material.dtype)
    with ExitStack() as stack:
        ports = {}
        for name in names:
            folder = material.tasks.with_name(f'{material.tasks.name} {name}')
            folder.mkdir()
            file = f'{name}.safetensors'
            shutil.copy(material.tasks / file, folder / file)
            ports[name] = stack.enter_context(serving(folder, *flags)).port
        one = stack.enter_context(serving(material.tasks, *flags))
        servers = {
            'a process a task': ServerOfEachTask(one.port, ports),
            'one server': one,
        }
        return ask_in_turns(args, material, servers, names)


def ask_in_turns(
    args: argparse.Namespace,
    material: Material,
    servers: dict[str, Server],
    names: list[str],
) -> Rows:
    """Load servers in turns with images of these tasks."""
    callers = max(args.callers)
    for server in servers.values():
        server.warm_up(names, material.image)
    loads = take_turns(
        {
            key: lambda server=server: server.ask(
                callers, names, material.image, args.seconds
            )
            for key, server in servers.items()
        },
        args.rounds,
    )
    return compared(loads, callers)


def direct(args: argparse.Namespace, material: Material) -> Rows:
    """Compare one caller with the pool in this process."""
    names = material.names(1)
    pool = material.pool(1)

    def call() -> Load:
        since, latencies = time.perf_counter(), []
        while time.perf_counter() - since < args.seconds:
            began = time.perf_counter()
            pixels = read_upload(material.image, LIMITS)
            pool.classify([pool.prepare(pixels, names)])
            latencies.append(time.perf_counter() - began)
        return Load(time.perf_counter() - since, latencies)

    with serving(
        material.tasks, material.weights, '--dtype', material.dtype
    ) as server:
        server.warm_up(names, material.image)
        loads = take_turns(
            {
                'pool in process': call,
                'server': lambda: server.ask(
                    1, names, material.image, args.seconds
                ),
            },
            args.rounds,
        )
    rows = compared(loads, 1)
    overhead = rows[1]['p50 ms'] - rows[0]['p50 ms']
    rows[1]['above ms'] = overhead
    return rows


def compared(loads: dict[str, Load], callers: int) -> Rows:
    """Return a row for each, with its rate as a share of the first's."""
    rows = [
        dict(what=key, callers=callers, **seen.row())
        for key, seen in loads.items()
    ]
    for row in rows:
        row['of first'] = row['images/s'] / rows[0]['images/s']
    return rows


def memory(args: argparse.Namespace, material: Material) -> Rows:
    """Compare the memory of a server of one task with one of many."""
    rows: Rows = []
    for count in (1, max(args.tasks)):
        with serving(
            material.tasks, material.weights, '--dtype', material.dtype
        ) as server:
            server.warm_up(material.names(count), material.image)
            server.ask(8, material.names(count), material.image, args.seconds)
            rows.append({'tasks': count, 'replica MB': replica_mb()})
    for row in rows:
        row['of first'] = row['replica MB'] / rows[0]['replica MB']
        row['a process a task, MB'] = row['tasks'] * rows[0]['replica MB']
    return rows


def peft(args: argparse.Namespace, material: Material) -> Rows:
    """Compare the pool with adapters of peft, in this process."""
    from .adapters import beside_peft

    pool = material.pool(max(args.adapters))
    return beside_peft(pool, args.batch_sizes, args.adapters, args.repetitions)


COMPARISONS: dict[str, Callable[[argparse.Namespace, Material], Rows]] = {
    'load': load,
    'one-task': one_task,
    'apart': apart,
    'processes': processes,
    'direct': direct,
    'memory': memory,
    'peft': peft,
}
# What --quick sets, unless it is given.
QUICK = dict(
    arch=['tiny'],
    dtype=['float32'],
    tasks=[1, 10],
    callers=[1, 8],
    seconds=2.0,
    rounds=2,
    batch_sizes=[8],
    adapters=[1, 8],
    repetitions=3,
)
FULL = dict(
    arch=['tiny', 'base'],
    dtype=['float32', 'bfloat16'],
    tasks=[1, 10, 100],
    callers=[1, 8, 32, 64],
    seconds=10.0,
    rounds=3,
    batch_sizes=[8, 32],
    adapters=[1, 8, 32],
    repetitions=7,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('what', choices=list(COMPARISONS))
    add('--arch', nargs='+', choices=['tiny', 'base'])
    add('--dtype', nargs='+', choices=['float32', 'bfloat16'])
    add('--tasks', type=int, nargs='+', help='1, 10, 100 by default')
    add('--callers', type=int, nargs='+', help='1, 8, 32, 64 by default')
    add('--seconds', type=float, help='of a round of a setting; 10')
    add('--rounds', type=int, help='turns of each setting; 3')
    add('--batch-sizes', type=int, nargs='+', help='with peft; 8 and 32')
    add('--adapters', type=int, nargs='+', help='with peft; 1, 8, 32')
    add('--repetitions', type=int, help='with peft; 7')
    add('--quick', action='store_true', help='tiny, a minute')
    add('--out', type=Path, help='CSV file')
    args = parser.parse_args()
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def as_text(value: Any) -> str:
    return f'{value:.2f}' if isinstance(value, float) else f'{value}'


def print_table(rows: Rows) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    print(f'| {" | ".join(columns)} |')
    print('|---' * len(columns) + '|')
    for row in rows:
        cells = (as_text(row.get(column, '-')) for column in columns)
        print(f'| {" | ".join(cells)} |')


def write_csv(rows: Rows, path: Path) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('WARNING')
    count = max(args.tasks + args.adapters * (args.what == 'peft'))
    rows: Rows = []
    with TemporaryDirectory(prefix='vptm_mm_') as folder:
        for arch, dtype in itertools.product(args.arch, args.dtype):
            print(f'{arch}, {dtype}', file=sys.stderr)
            material = make_material(Path(folder), arch, dtype, count)
            found = COMPARISONS[args.what](args, material)
            rows += [dict(arch=arch, dtype=dtype, **row) for row in found]
            if args.out:  # what is there is kept if a later one fails
                write_csv(rows, args.out)
    print_table(rows)


if __name__ == '__main__':
    main()
