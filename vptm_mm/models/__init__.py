from .backbones import FrozenFeatures, VPTMBackbone
from .heads import PrototypeVerbalizerHead
from .pool import VPTMTaskPool
from .tokenizers import PatchKMeansTokenizer

__all__ = [
    'FrozenFeatures',
    'PatchKMeansTokenizer',
    'PrototypeVerbalizerHead',
    'VPTMBackbone',
    'VPTMTaskPool',
]
