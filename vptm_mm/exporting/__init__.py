from .export_file import (
    DESCRIPTION,
    OPSET,
    TOLERANCE,
    check_out,
    export_classifier,
    random_images,
)
from .exported_classifier import ExportedClassifier

__all__ = [
    'DESCRIPTION',
    'OPSET',
    'TOLERANCE',
    'ExportedClassifier',
    'check_out',
    'export_classifier',
    'random_images',
]
