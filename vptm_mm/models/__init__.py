from .backbones import (
    AdaptFormerBackbone,
    FineTunedBackbone,
    FrozenFeatures,
    GateVPTBackbone,
    LoRABackbone,
    VPTBackbone,
    VPTMBackbone,
)
from .heads import PrototypeVerbalizerHead
from .pool import VPTMTaskPool
from .tokenizers import PatchKMeansTokenizer

__all__ = [
    'AdaptFormerBackbone',
    'FineTunedBackbone',
    'FrozenFeatures',
    'GateVPTBackbone',
    'LoRABackbone',
    'PatchKMeansTokenizer',
    'PrototypeVerbalizerHead',
    'VPTBackbone',
    'VPTMBackbone',
    'VPTMTaskPool',
]
