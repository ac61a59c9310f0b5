"""Peak memory of one training step, each in a fresh process."""

import ctypes
from pathlib import Path
from typing import Any

import torch

from vptm_mm.fresh_process import fresh_context, resident_bytes

from .entrants import Setting, make_entrant
from .measure import make_training_step

CLEAR = Path('/proc/self/clear_refs')


def peak_memory_mb(
    name: str, setting: Setting, batch_size: int
) -> float | None:
    """Return the most memory that a step takes above the model, in MB.

    On a CPU it is what is resident, which only Linux tells; None elsewhere.
    A step on the same batch comes first: it loads the libraries' code, and
    compiles what is to be compiled. What it leaves behind is given back.

    Args:
        name: Name of an entrant.
        setting: What all entrants share.
        batch_size: Images of the step.

    Raises:
        RuntimeError: If the process ended without a figure.
    """
    context = fresh_context(__name__, setting.device != 'cpu')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_measure,
        args=(name, setting, batch_size, torch.get_num_threads(), sender),
    )
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(
            f'the process that measured the memory of {name!r} ended with '
            f'exit code {process.exitcode}; out of memory?'
        ) from None
    finally:
        process.join()


def _measure(
    name: str, setting: Setting, batch_size: int, threads: int, sender: Any
) -> None:
    torch.set_num_threads(threads)
    entrant = make_entrant(name, setting)
    inputs = entrant.inputs(setting.images(batch_size))
    step = make_training_step(entrant.module, inputs)
    step()
    before: int | None = None
    peak: int | None = None
    if setting.device != 'cpu':
        torch.cuda.reset_peak_memory_stats(setting.device)
        before = torch.cuda.memory_allocated(setting.device)
        step()
        peak = torch.cuda.max_memory_allocated(setting.device)
    elif CLEAR.exists():
        give_back()
        CLEAR.write_text('5')  # the peak starts again
        before = resident_bytes('VmRSS')
        step()
        peak = resident_bytes('VmHWM')
    if before is None or peak is None:
        sender.send(None)
    else:
        sender.send((peak - before) / 1e6)


def give_back() -> None:
    """Return freed memory to the system, where the C library can."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)
