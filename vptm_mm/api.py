"""The Python interface: what ``vptm_mm`` offers by these five names."""

import copy
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from torch import Tensor

from .adaptation import adapt
from .exporting import export_classifier
from .host import dataset_meta
from .model_index import config_path
from .tasks import (
    Task,
    VPTMTaskPool,
    build_classifier,
    classifier_of,
    read_task,
)

TaskPool = VPTMTaskPool

__all__ = ['TaskPool', 'adapt', 'export', 'load_classifier', 'read_task']


def load_classifier(
    source: Task | str | Path | Config,
    checkpoint: str | Path | None = None,
    *,
    weights: str | None = None,
    device: str = 'auto',
) -> BaseModel:
    """Build a classifier and load its weights, strictly.

    Args:
        source: A task or a task file; or, with a checkpoint, a config, its
            path, or its name as ``vptm configs`` lists it.
        checkpoint: Checkpoint or task file for a config.
        weights: Of a task, path or address of the pre-trained weights; those
            that it names by default.
        device: As in torch; ``'auto'`` for a GPU if there is one.

    Returns:
        MMPretrain's ``ImageClassifier`` in ``eval()``.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the weights do not fit.
    """
    device = get_device() if device == 'auto' else device
    if checkpoint is None:
        task = source if isinstance(source, Task) else read_task(source)
        return classifier_of(task, weights, device)
    if weights is not None:
        raise ValueError(
            f'weights={weights!r} goes with a task; a config names its own.'
        )
    if isinstance(source, (str, Path)):
        source = config_path(str(source))
    return build_classifier(source, checkpoint, device)


def export(
    source: Task | str | Path | BaseModel,
    path: str | Path,
    images: Tensor | None = None,
    *,
    preprocessing: bool = True,
) -> float:
    """Write a classifier as an ``.onnx`` or a ``.pt2`` file.

    The file is run on images and compared with the classifier before it is
    kept.

    Args:
        source: A task, a task file, or a classifier.
        path: The file; its suffix decides the format.
        images: In uint8 as the test pipeline leaves them, ``(B, 3, H, W)``;
            random ones by default.
        preprocessing: Whether the file takes uint8 images in BGR order, in
            place of normalised ones.

    Returns:
        The largest difference of a score between file and classifier.

    Raises:
        ImportError: If the packages of a format are missing.
        RuntimeError: If the scores differ.
        TypeError: If the classifier is not on a BEiT v2.
        ValueError: If the suffix is unknown.
    """
    pipeline: list[dict] = []
    if not isinstance(source, BaseModel):
        task = source if isinstance(source, Task) else read_task(source)
        pipeline, source = task.pipeline, classifier_of(task)
    return export_classifier(
        copy.deepcopy(source).cpu(),
        path,
        images,
        preprocessing,
        classes=dataset_meta(source).get('classes'),
        pipeline=pipeline,
    )
