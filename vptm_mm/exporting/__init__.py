from .export_file import (
    DESCRIPTION,
    OPSET,
    TOLERANCE,
    export_classifier,
    random_images,
)
from .exported_classifier import ExportedClassifier

__all__ = [
    'DESCRIPTION',
    'OPSET',
    'TOLERANCE',
    'ExportedClassifier',
    'export_classifier',
    'random_images',
]
