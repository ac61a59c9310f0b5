"""A classifier as a graph, which both kinds of file are written from.

Symbols: B batch; K classes.
"""

from dataclasses import dataclass
from typing import Any

import torch
from mmengine.utils import digit_version
from mmpretrain.models import ImageClassifier
from torch import Tensor

from .exported_classifier import ExportedClassifier

# The first torch whose torch.export and dynamo-based ONNX exporter do it.
TORCH_NEEDED = '2.7'
INPUT = 'images'
OUTPUT = 'scores'


@dataclass(frozen=True)
class TracedClassifier:
    """The graph of a classifier, and what it must compute.

    Args:
        program: The graph; its batch size is free.
        inputs: Images as the graph takes them, ``(B, ...)``.
        scores: What the classifier itself says to them, ``(B, K)``.
    """

    program: torch.export.ExportedProgram
    inputs: Tensor
    scores: Tensor


def free_batch() -> dict[str, dict[int, Any]]:
    """The sizes of the input that a graph leaves open: B."""
    # Some versions of torch want an end.
    return {INPUT: {0: torch.export.Dim('batch', min=1, max=2**31 - 1)}}


def trace_classifier(
    classifier: ImageClassifier, images: Tensor, preprocessing: bool
) -> TracedClassifier:
    """Run a classifier, then trace it by ``torch.export``.

    It runs first, so that what is wrong with the classifier is said by the
    classifier: a backbone without weights, images of another size.

    Args:
        classifier: As in ``ExportedClassifier``.
        images: uint8 images as the pipeline leaves them, ``(B, ...)``.
        preprocessing: As in ``ExportedClassifier``.

    Raises:
        TypeError: If the images are not uint8, or the head returns something
            else than ``(B, K)``.
        RuntimeError: If torch is too old, or cannot trace it.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
        raise TypeError(
            f'images of {images.dtype} and shape {tuple(images.shape)} must '
            'be uint8, (B, in_channels, img_size, img_size), B >= 1: as '
            'PackInputs leaves them, before the data preprocessor.'
        )
    exported = ExportedClassifier(classifier, preprocessing)
    with torch.no_grad():
        prepared = exported.prepare(images)
        scores = classifier(prepared)  # (B, K)
        if not isinstance(scores, Tensor) or scores.ndim != 2:
            kind = tuple(getattr(scores, 'shape', (type(scores).__name__,)))
            raise TypeError(
                f'{type(classifier.head).__name__} returns {kind}; export '
                'writes heads that return one tensor (B, num_classes).'
            )
        if digit_version(torch.__version__) < digit_version(TORCH_NEEDED):
            raise RuntimeError(
                f'torch {torch.__version__} cannot export this; torch >= '
                f'{TORCH_NEEDED} can. A checkpoint or task file moves to a '
                'newer torch as it is.'
            )
        inputs = images if preprocessing else prepared
        # A size of 1 would be taken for a constant. An example is stored in
        # the file: it must not be somebody's image.
        example = torch.zeros_like(inputs[:1]).repeat(2, 1, 1, 1)
        try:
            program = torch.export.export(
                exported,
                (example,),
                dynamic_shapes=free_batch(),
                strict=False,
            )
        except Exception as error:  # any code in a model raises anything
            raise RuntimeError(
                f'torch.export cannot trace the classifier ('
                f'{type(classifier.backbone).__name__}, '
                f'{type(classifier.head).__name__}): {error}\n'
                'Modules of your own must not branch on values of tensors, '
                'and must ask for x.size(0) in place of len(x).'
            ) from error
    _forget_source_files(program)
    return TracedClassifier(program, inputs, scores)


def _forget_source_files(program: torch.export.ExportedProgram) -> None:
    """Remove the traces of this machine's files, which a file would hold."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop('stack_trace', None)
