"""A tuned classifier as an ONNX file.

Symbols: B batch; K classes.
"""

import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmpretrain.models import ImageClassifier
from torch import Tensor

from .description import describe
from .traced_classifier import INPUT, OUTPUT, free_batch, trace_classifier
from .verified_file import TOLERANCE, require_target, write_verified

# The set that torch's exporter writes without conversion.
OPSET = 18
PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
# Protobuf cannot write more bytes into one file.
MAX_BYTES = 2**31


def export_onnx(
    classifier: ImageClassifier,
    out: str | Path,
    images: Tensor,
    preprocessing: bool = False,
    classes: Sequence[str] | None = None,
    pipeline: Sequence[dict] = (),
    tolerance: float = TOLERANCE,
) -> float:
    """Write an ONNX file of opset 18, and run it by onnxruntime.

    It has one input, ``images``, and one output, ``scores``, ``(B, K)``, raw;
    B is free. Its metadata are strings, lists among them in JSON.

    Args:
        classifier: As in ``ExportedClassifier``.
        out: The file, ``*.onnx``.
        images: uint8 images to verify it on, as the pipeline leaves them,
            ``(B, in_channels, img_size, img_size)``.
        preprocessing: As in ``ExportedClassifier``.
        classes: Names of the classes, in the order of the scores; None to
            number them.
        pipeline: Transforms of a test image, for the metadata.
        tolerance: Largest difference of a score that is right.

    Returns:
        The largest difference from the classifier's own scores.

    Raises:
        ImportError: If onnx, onnxscript or onnxruntime is missing.
        FileNotFoundError: If the folder is not there.
        ValueError: If the name, the number of classes or ``tolerance`` is
            wrong, or the model is too large for one file.
        TypeError: If the classifier or the images are of another kind.
        RuntimeError: If torch cannot trace or translate it, or the file
            computes something else.
    """
    _require_packages()
    path = require_target(out, '.onnx', tolerance)
    traced = trace_classifier(classifier, images, preprocessing)
    description = describe(classifier, preprocessing, classes, pipeline)
    num_bytes = sum(
        t.nbytes
        for tensors in (traced.program.state_dict, traced.program.constants)
        for t in tensors.values()
        if isinstance(t, Tensor)
    )
    if num_bytes >= MAX_BYTES:
        raise ValueError(
            f'the classifier holds {num_bytes} bytes; one ONNX file holds '
            f'less than {MAX_BYTES}. Write a .pt2 file.'
        )
    try:
        model = torch.onnx.export(
            traced.program,
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=free_batch(),
            verbose=False,
        )
    except Exception as error:  # of torch, onnxscript or onnx
        raise RuntimeError(
            f'ONNX opset {OPSET} cannot express the classifier: {error}\n'
            'Replace the operation, or write a .pt2 file.'
        ) from error
    if model is None:  # for mypy: None is what the old exporter returns
        raise RuntimeError('torch.onnx.export returned no model.')
    model.model.metadata_props.update(
        {
            key: value
            if isinstance(value, str)
            else json.dumps(value, default=str)
            for key, value in description.items()
        }
    )
    return write_verified(
        path, traced, lambda part: model.save(part), _load, tolerance
    )


def _require_packages() -> None:
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ImportError(
                f'{package} cannot be imported ({error}); writing ONNX needs '
                f"it. Run: pip install 'vptm_mm[export]'"
            ) from error


def _load(path: Path) -> Callable[[Tensor], Tensor]:
    onnxruntime = importlib.import_module('onnxruntime')
    session = onnxruntime.InferenceSession(
        str(path), providers=['CPUExecutionProvider']
    )

    def run(images: Tensor) -> Tensor:
        (scores,) = session.run([OUTPUT], {INPUT: images.numpy()})
        return torch.from_numpy(scores)

    return run
