"""A tuned classifier as a program of ``torch.export``.

Symbols: B batch; K classes.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmpretrain.models import ImageClassifier
from torch import Tensor

from .description import describe
from .traced_classifier import trace_classifier
from .verified_file import TOLERANCE, require_target, write_verified

# The extra file inside a .pt2 that describes it.
DESCRIPTION = 'vptm_mm.json'


def export_program(
    classifier: ImageClassifier,
    out: str | Path,
    images: Tensor,
    preprocessing: bool = False,
    classes: Sequence[str] | None = None,
    pipeline: Sequence[dict] = (),
    tolerance: float = TOLERANCE,
) -> float:
    """Write a ``.pt2`` file, which torch runs without this package.

    ``torch.export.load(out).module()`` takes images and returns raw scores,
    ``(B, K)``; B is free. The file ``vptm_mm.json`` in it is a description.

    Args:
        classifier: As in ``ExportedClassifier``.
        out: The file, ``*.pt2``.
        images: uint8 images to verify it on, as the pipeline leaves them,
            ``(B, in_channels, img_size, img_size)``.
        preprocessing: As in ``ExportedClassifier``.
        classes: Names of the classes, in the order of the scores; None to
            number them.
        pipeline: Transforms of a test image, for the description.
        tolerance: Largest difference of a score that is right.

    Returns:
        The largest difference from the classifier's own scores.

    Raises:
        FileNotFoundError: If the folder is not there.
        ValueError: If the name, the number of classes or ``tolerance`` is
            wrong.
        TypeError: If the classifier or the images are of another kind.
        RuntimeError: If torch cannot trace it, or the file computes something
            else.
    """
    path = require_target(out, '.pt2', tolerance)
    traced = trace_classifier(classifier, images, preprocessing)
    description = describe(classifier, preprocessing, classes, pipeline)
    text = json.dumps(description, default=str)

    def write(part: Path) -> None:
        torch.export.save(
            traced.program, part, extra_files={DESCRIPTION: text}
        )

    return write_verified(path, traced, write, _load, tolerance)


def _load(path: Path) -> Callable[[Tensor], Tensor]:
    return torch.export.load(path).module()
