"""A file is written whole and right, or not at all."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from ..weights import whole_path
from .traced_classifier import TracedClassifier

# Largest difference of a score that a file may have.
TOLERANCE = 1e-4


def require_target(out: str | Path, suffix: str, tolerance: float) -> Path:
    """Check where a file shall be written, before work is done for it.

    Raises:
        ValueError: If the name ends in something else, or ``tolerance`` is
            not positive.
        FileNotFoundError: If there is no such folder.
    """
    path = Path(out).expanduser().absolute()
    if path.suffix != suffix:
        raise ValueError(f'{out} must end in {suffix}; rename it.')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'no folder {path.parent}; make it first.')
    if not 0 < tolerance < float('inf'):
        raise ValueError(
            f'tolerance={tolerance} must be positive and finite; {TOLERANCE} '
            'is a good one.'
        )
    return path


def write_verified(
    path: Path,
    traced: TracedClassifier,
    write: Callable[[Path], None],
    load: Callable[[Path], Callable[[Tensor], Tensor]],
    tolerance: float,
) -> float:
    """Write a file, run it as its users will, keep it if it is right.

    Args:
        path: The file; one that is there is replaced by a right one only.
        traced: What the file must compute.
        write: Writes a file.
        load: Reads a file and returns its function.
        tolerance: Largest difference of a score that is right.

    Returns:
        The largest difference of a score, over one image and over all.

    Raises:
        RuntimeError: If the difference is larger.
    """
    # Beside the file, because replacing works within one file system only.
    with (
        whole_path(path) as whole,
        TemporaryDirectory(prefix='.export-', dir=path.parent) as folder,
    ):
        part = Path(folder) / path.name
        write(part)
        difference = _max_difference(load(part), traced)
        # Not >: NaN is no small difference.
        if not difference <= tolerance:
            raise RuntimeError(
                f'{path.name} was not kept: its scores differ from those of '
                f'the classifier by up to {difference:.2e}, more than '
                f'tolerance={tolerance}. Scores reach '
                f'{traced.scores.abs().max():.1f}; if they are that large by '
                'a small temperature, a larger tolerance is reasonable.'
            )
        part.replace(whole)
    return difference


@torch.no_grad()
def _max_difference(
    function: Callable[[Tensor], Tensor], traced: TracedClassifier
) -> float:
    """Compare for a batch of one and for the whole batch."""
    inputs, scores = traced.inputs, traced.scores
    found = torch.cat([function(inputs[:1]), function(inputs)])
    return (found - torch.cat([scores[:1], scores])).abs().max().item()
