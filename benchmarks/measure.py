"""Seconds, memory and arithmetic of inference and of a training step.

Symbols: B batch.
"""

import gc
import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmpretrain.models import BEiTPretrainViT
from rich.progress import track
from torch import Tensor, nn
from torch.utils.benchmark import Measurement, Timer
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from .entrants import STOCK, Entrant, Setting

INFERENCE, TRAINING = 'inference', 'training'
# What outputs may differ by, as a fraction of their norm.
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.05}
# Of the product that is timed as the limit.
LEAST_SECONDS = 0.2
# The kernel for CPUs, which torch's counter does not know.
_CPU_KERNEL = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_CPU_KERNEL_BACKWARD = (
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
)
_CPU_KERNELS = {
    _CPU_KERNEL: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    _CPU_KERNEL_BACKWARD: (
        lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(grad, q, k, v)
    ),
}


@torch.no_grad()
def check(entrants: Mapping[str, Entrant], images: Tensor) -> dict[str, float]:
    """Compare the outputs of those that compute the same.

    Args:
        entrants: By name, with those that others are the same as.
        images: A few images.

    Returns:
        The difference of each from the one that it is the same as: its norm,
        as a fraction of the output's.

    Raises:
        RuntimeError: If one is above ``TOLERANCES``.
    """
    outputs = {
        name: entrant.module(entrant.inputs(images))[0].float()
        for name, entrant in entrants.items()
    }
    differences = {}
    for name, entrant in entrants.items():
        if entrant.same_as in (None, name):
            continue
        expected = outputs[entrant.same_as]
        difference = (outputs[name] - expected).norm() / expected.norm()
        tolerance = TOLERANCES[entrant.dtype]
        if not difference <= tolerance:
            raise RuntimeError(
                f'{name} differs from {entrant.same_as} by {difference:.1e} '
                f'of its norm, over {tolerance}; nothing is timed.'
            )
        differences[name] = difference.item()
    return differences


def make_inference(module: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return a function that predicts."""

    def infer() -> None:
        with torch.no_grad():
            module(x)

    return infer


def make_training_step(module: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return a function that runs forward, backward and optimizer."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=0.0)

    def step() -> None:
        optimizer.zero_grad()
        module(x)[-1].float().square().mean().backward()
        optimizer.step()

    return step


def time_in_turn(
    runs: Mapping[Any, Callable[[], None]], repetitions: int, description: str
) -> dict[Any, Measurement]:
    """Time functions in turn, so that a busy machine slows them alike.

    The order changes with each repetition: what runs before leaves the
    processor at another clock, and other data in its caches.

    Args:
        runs: The functions.
        repetitions: How often each is timed.
        description: Shown beside the progress.
    """
    timers = {
        key: Timer(
            'run()', globals=dict(run=run), num_threads=torch.get_num_threads()
        )
        for key, run in runs.items()
    }
    times: dict[Any, list[Measurement]] = {key: [] for key in runs}
    order = list(runs)
    for repetition in track(range(repetitions), description=description):
        random.Random(repetition).shuffle(order)
        for key in order:
            times[key].append(timers[key].timeit(1))
    return {key: Measurement.merge(times[key])[0] for key in times}


def count_flops(function: Callable[[], None]) -> int:
    """Count the arithmetic of matrix products, two for a multiply-add."""
    counter = FlopCounterMode(display=False, custom_mapping=_CPU_KERNELS)
    with counter:
        function()
    # Its hooks hold the graph of the step, gigabytes with large batches.
    gc.collect()
    return counter.get_total_flops()


def kept_mb(module: nn.Module, x: Tensor) -> float:
    """Return the memory that forward keeps for backward, in MB."""
    weights = {
        tensor.untyped_storage().data_ptr()
        for tensor in (*module.parameters(), *module.buffers())
    }
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        # Not the tensor itself: an output would hold its own graph for ever.
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        out = module(x)
    del out
    return sum(sizes.values()) / 1e6


def measure_batch(
    setting: Setting,
    entrants: Mapping[str, Entrant],
    batch_size: int,
    repetitions: int,
) -> list[dict[str, Any]]:
    """Measure all entrants on one batch.

    Those that compute in one type take turns, and then those of the next:
    some processors lower their clock after instructions for ``bfloat16``.

    Args:
        setting: What they share.
        entrants: By name, the stock blocks among them.
        batch_size: Images B.
        repetitions: How often each is timed.

    Returns:
        A row for each entrant and inference or training: ``median_s``,
        ``fastest_s`` and ``slowest_s`` in seconds; ``faster``, the ratio of
        the medians of the stock blocks in ``float32`` and its own; ``flops``
        of a run, and ``of_limit``, their rate over ``limit``, that of a matrix
        product in the same type, in operations a second; for training
        ``kept_mb``.
    """
    # What is compiled is compiled for this batch, as in a run. Models of one
    # class share torch's few places for compiled code: beyond them, and for
    # another batch, they would run uncompiled or with a batch of any size.
    torch.compiler.reset()
    images = setting.images(batch_size)
    inputs = {name: one.inputs(images) for name, one in entrants.items()}
    runs: dict[Any, Callable[[], None]] = {}
    for name, entrant in entrants.items():
        runs[name, INFERENCE] = make_inference(entrant.module, inputs[name])
        runs[name, TRAINING] = make_training_step(entrant.module, inputs[name])
    times: dict[Any, Measurement] = {}
    limits = {}
    for dtype in dict.fromkeys(one.dtype for one in entrants.values()):
        product, flops = _limit(setting, batch_size, dtype)
        here = {
            key: run
            for key, run in runs.items()
            if entrants[key[0]].dtype == dtype
        }
        description = f'batch {batch_size}, {str(dtype).split(".")[1]}'
        times |= time_in_turn(
            {**here, dtype: product}, repetitions, description
        )
        limits[dtype] = flops / times[dtype].median
    rows = []
    for name, entrant in entrants.items():
        torch.compiler.reset()
        for what in (INFERENCE, TRAINING):
            taken = times[name, what]
            flops = count_flops(runs[name, what])
            limit = limits[entrant.dtype]
            row = dict(
                batch_size=batch_size,
                what=what,
                name=name,
                median_s=taken.median,
                fastest_s=min(taken.times),
                slowest_s=max(taken.times),
                faster=times[STOCK, what].median / taken.median,
                flops=flops,
                limit=limit,
                of_limit=flops / taken.median / limit,
            )
            if what == TRAINING:
                row['kept_mb'] = kept_mb(entrant.module, inputs[name])
            rows.append(row)
    return rows


def _limit(
    setting: Setting, batch_size: int, dtype: torch.dtype
) -> tuple[Callable[[], None], int]:
    """The machine's limit: the first product of the MLP, and its arithmetic.

    A short one is repeated: the clock of one alone would say little.
    """
    width = BEiTPretrainViT.arch_zoo[setting.arch]['embed_dims']
    rows = batch_size * setting.num_tokens
    options: dict[str, Any] = dict(dtype=dtype, device=setting.device)
    states = torch.randn(rows, width, **options)
    weight = torch.randn(width, 4 * width, **options)
    once = Timer(
        'states @ weight',
        globals=dict(states=states, weight=weight),
        num_threads=torch.get_num_threads(),
    ).timeit(2)
    times = math.ceil(LEAST_SECONDS / once.median)

    def product() -> None:
        for _ in range(times):
            _ = states @ weight

    return product, times * 2 * rows * width * 4 * width
