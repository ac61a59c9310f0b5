from .backbones import FrozenFeatures, VPTMBackbone
from .heads import PrototypeVerbalizerHead
from .tokenizers import PatchKMeansTokenizer

__all__ = [
    'FrozenFeatures',
    'PatchKMeansTokenizer',
    'PrototypeVerbalizerHead',
    'VPTMBackbone',
]
