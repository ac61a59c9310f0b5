from .exported_classifier import ExportedClassifier
from .onnx_file import OPSET, export_onnx
from .program_file import DESCRIPTION, export_program
from .verified_file import TOLERANCE

__all__ = [
    'DESCRIPTION',
    'OPSET',
    'TOLERANCE',
    'ExportedClassifier',
    'export_onnx',
    'export_program',
]
