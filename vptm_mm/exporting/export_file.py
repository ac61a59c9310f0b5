"""A tuned classifier as one file: ONNX, or a program of ``torch.export``.

Symbols: B batch; K classes.
"""

import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmengine.utils import digit_version
from mmpretrain.models import ImageClassifier
from torch import Tensor

from ..nn import require_positive
from ..weights import whole_path
from .exported_classifier import ExportedClassifier

# The first torch whose torch.export and dynamo-based ONNX exporter do it.
TORCH_NEEDED = '2.7'
# The set that torch's exporter writes without conversion.
OPSET = 18
ONNX_PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
# The extra file inside a .pt2 that describes it.
DESCRIPTION = 'vptm_mm.json'
# Largest difference of a score that a file may have.
TOLERANCE = 1e-4
INPUT, OUTPUT = 'images', 'scores'

Program = torch.export.ExportedProgram
Function = Callable[[Tensor], Tensor]


def check_out(out: str | Path) -> Path:
    """Return the path of a new export, if one can be written there.

    Raises:
        ImportError: If a package of its format is missing.
        FileNotFoundError: If the folder is not there.
        ValueError: If the name ends in something else than a format.
    """
    path = Path(out).expanduser().absolute()
    if path.suffix not in FORMATS:
        raise ValueError(f'{out} must end in {" or ".join(FORMATS)}.')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'no folder {path.parent}; make it first.')
    if path.suffix == '.onnx':
        _require_onnx()
    return path


def export_classifier(
    classifier: ImageClassifier,
    out: str | Path,
    images: Tensor | None = None,
    preprocessing: bool = False,
    classes: Sequence[str] | None = None,
    pipeline: Sequence[dict] = (),
    tolerance: float = TOLERANCE,
) -> float:
    """Write a file, run it as its users will, keep it if it is right.

    It has one input, ``images``, and one output, ``scores``, ``(B, K)``, raw;
    B is free. An ``.onnx`` file is of opset 18 and has the description as
    metadata: strings, lists among them in JSON. A ``.pt2`` file is read by
    ``torch.export.load(out).module()``, without this package; the file
    ``vptm_mm.json`` in it is the description.

    Args:
        classifier: As in ``ExportedClassifier``.
        out: The file, ``*.onnx`` or ``*.pt2``; one that is there is replaced
            by a right one only.
        images: uint8 images to verify it on, as the pipeline leaves them,
            ``(B, in_channels, img_size, img_size)``; None for random ones.
        preprocessing: As in ``ExportedClassifier``.
        classes: Names of the classes, in the order of the scores; None to
            number them.
        pipeline: Transforms of a test image, for the description.
        tolerance: Largest difference of a score that is right.

    Returns:
        The largest difference from the classifier's own scores, over one
        image and over all.

    Raises:
        ImportError: If onnx, onnxscript or onnxruntime is missing.
        FileNotFoundError: If the folder is not there.
        ValueError: If the name, the number of classes or ``tolerance`` is
            wrong, or the model is too large for one file.
        TypeError: If the classifier or the images are of another kind.
        RuntimeError: If torch cannot trace or translate it, or the file
            computes something else.
    """
    path = check_out(out)
    write, load = FORMATS[path.suffix]
    require_positive('tolerance', tolerance)
    exported = ExportedClassifier(classifier, preprocessing)
    description = exported.describe(classes, pipeline)
    if images is None:
        images = random_images(classifier.backbone.encoder.input_shape)
    inputs, scores = _run(exported, images)
    program = _trace(exported, inputs)
    # Beside the file, because replacing works within one file system only.
    with (
        whole_path(path) as whole,
        TemporaryDirectory(prefix='.export-', dir=path.parent) as folder,
    ):
        part = Path(folder) / path.name
        write(program, description, part)
        difference = _max_difference(load(part), inputs, scores)
        # Not >: NaN is not a small difference.
        if not difference <= tolerance:
            raise RuntimeError(
                f'{path.name} was not kept: its scores differ from those of '
                f'the classifier by up to {difference:.2e}, more than '
                f'tolerance={tolerance}. Scores reach {scores.abs().max():.1f}'
                '; if they are that large by a small temperature, a larger '
                'tolerance is reasonable.'
            )
        part.replace(whole)
    return difference


def random_images(shape: tuple[int, ...]) -> Tensor:
    """Return eight images of noise, always the same, in uint8."""
    seed = torch.Generator().manual_seed(0)
    return torch.randint(256, (8, *shape), generator=seed).to(torch.uint8)


@torch.no_grad()
def _run(exported: ExportedClassifier, images: Tensor) -> tuple[Tensor, ...]:
    """Return what the file will take, and the scores that it must give.

    So what is wrong with the classifier is said by the classifier: a backbone
    without weights, images of another size.
    """
    if images.dtype != torch.uint8:
        raise TypeError(
            f'images of {images.dtype} must be uint8: as PackInputs leaves '
            'them, before the data preprocessor.'
        )
    prepared = exported.prepare(images)
    scores = exported.classifier(prepared)  # (B, K)
    if not isinstance(scores, Tensor):
        raise TypeError(
            f'{type(exported.classifier.head).__name__} returns a '
            f'{type(scores).__name__}; export writes heads that return one '
            'tensor (B, num_classes).'
        )
    return images if exported.preprocessing else prepared, scores


@torch.no_grad()
def _trace(exported: ExportedClassifier, inputs: Tensor) -> Program:
    if digit_version(torch.__version__) < digit_version(TORCH_NEEDED):
        raise RuntimeError(
            f'torch {torch.__version__} cannot export this; torch >= '
            f'{TORCH_NEEDED} can. A checkpoint or task file moves to a newer '
            'torch as it is.'
        )
    # A size of 1 would be taken for a constant. An example is stored in the
    # file: it must not be somebody's image.
    example = torch.zeros_like(inputs[:1]).repeat(2, 1, 1, 1)
    try:
        program = torch.export.export(
            exported, (example,), dynamic_shapes=_free_batch(), strict=False
        )
    except Exception as error:  # any code in a model raises anything
        raise RuntimeError(
            'torch.export cannot trace the classifier ('
            f'{type(exported.classifier.backbone).__name__}, '
            f'{type(exported.classifier.head).__name__}): {error}\n'
            'Modules of your own must not branch on values of tensors, and '
            'must ask for x.size(0) in place of len(x).'
        ) from error
    # The traces of this machine's files, which a file would hold.
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop('stack_trace', None)
    return program


def _free_batch() -> dict[str, dict[int, Any]]:
    # Some versions of torch want an end.
    return {INPUT: {0: torch.export.Dim('batch', min=1, max=2**31 - 1)}}


@torch.no_grad()
def _max_difference(
    function: Function, inputs: Tensor, scores: Tensor
) -> float:
    """Return the largest difference of a score, for one image and for all."""
    found = torch.cat([function(inputs[:1]), function(inputs)])
    return (found - torch.cat([scores[:1], scores])).abs().max().item()


def _write_program(
    program: Program, description: dict[str, Any], path: Path
) -> None:
    text = json.dumps(description, default=str)
    torch.export.save(program, path, extra_files={DESCRIPTION: text})


def _load_program(path: Path) -> Function:
    return torch.export.load(path).module()


def _write_onnx(
    program: Program, description: dict[str, Any], path: Path
) -> None:
    try:
        model: Any = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=_free_batch(),
            verbose=False,
        )
    except Exception as error:  # of torch, onnxscript or onnx
        raise RuntimeError(
            f'ONNX opset {OPSET} cannot express the classifier: {error}\n'
            'Replace the operation, or write a .pt2 file.'
        ) from error
    for key, value in description.items():
        text = (
            value if isinstance(value, str) else json.dumps(value, default=str)
        )
        model.model.metadata_props[key] = text
    model.save(path)
    if len([*path.parent.iterdir()]) > 1:  # torch put the tensors beside it
        raise ValueError(
            'the classifier is too large for one ONNX file. Write a .pt2 file.'
        )


def _load_onnx(path: Path) -> Function:
    onnxruntime = importlib.import_module('onnxruntime')
    session = onnxruntime.InferenceSession(
        str(path), providers=['CPUExecutionProvider']
    )

    def run(images: Tensor) -> Tensor:
        (scores,) = session.run([OUTPUT], {INPUT: images.numpy()})
        return torch.from_numpy(scores)

    return run


def _require_onnx() -> None:
    for package in ONNX_PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ImportError(
                f'{package} cannot be imported ({error}); writing ONNX needs '
                f"it. Run: pip install 'vptm_mm[export]'"
            ) from error


# By suffix: what writes a file, and what reads it as its users will.
FORMATS = {
    '.onnx': (_write_onnx, _load_onnx),
    '.pt2': (_write_program, _load_program),
}
