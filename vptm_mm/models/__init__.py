from .backbones import (
    AdaptFormerBackbone,
    BlockFeatures,
    FineTunedBackbone,
    FrozenFeatures,
    GateVPTBackbone,
    GradCAMBackbone,
    LoRABackbone,
    VPTBackbone,
    VPTMBackbone,
)
from .distilled_beit import DistilledBEiT
from .heads import PrototypeVerbalizerHead
from .tokenizers import (
    FeatureKMeansTokenizer,
    KeptTokens,
    PatchKMeansTokenizer,
    VQKDDistiller,
    VQKDTokenizer,
)

__all__ = [
    'AdaptFormerBackbone',
    'BlockFeatures',
    'DistilledBEiT',
    'FeatureKMeansTokenizer',
    'FineTunedBackbone',
    'FrozenFeatures',
    'GateVPTBackbone',
    'GradCAMBackbone',
    'KeptTokens',
    'LoRABackbone',
    'PatchKMeansTokenizer',
    'PrototypeVerbalizerHead',
    'VPTBackbone',
    'VPTMBackbone',
    'VQKDDistiller',
    'VQKDTokenizer',
]
