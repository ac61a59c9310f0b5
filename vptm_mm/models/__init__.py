from .backbones import FrozenFeatures, GradCAMBackbone, VPTMBackbone
from .heads import PrototypeVerbalizerHead
from .pool import VPTMTaskPool
from .tokenizers import PatchKMeansTokenizer

__all__ = [
    'FrozenFeatures',
    'GradCAMBackbone',
    'PatchKMeansTokenizer',
    'PrototypeVerbalizerHead',
    'VPTMBackbone',
    'VPTMTaskPool',
]
