from .export_file import DESCRIPTION, OPSET, TOLERANCE, export_classifier
from .exported_classifier import ExportedClassifier

__all__ = [
    'DESCRIPTION',
    'OPSET',
    'TOLERANCE',
    'ExportedClassifier',
    'export_classifier',
]
