"""The Python interface: what ``vptm_mm`` offers by these five names."""

import copy
from pathlib import Path

from mmengine.model import BaseModel
from torch import Tensor

from .adaptation import adapt
from .exporting.export_file import export_classifier
from .host import dataset_meta
from .tasks import (
    Task,
    VPTMTaskPool,
    load_classifier,
    read_task,
)

TaskPool = VPTMTaskPool

__all__ = ['TaskPool', 'adapt', 'export', 'load_classifier', 'read_task']


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
        pipeline, source = task.pipeline, load_classifier(task, device='cpu')
    return export_classifier(
        copy.deepcopy(source).cpu(),
        path,
        images,
        preprocessing,
        classes=dataset_meta(source).get('classes'),
        pipeline=pipeline,
    )
