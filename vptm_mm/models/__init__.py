from .backbones import (
    AdaptedBackbone,
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
from .readouts import Readout
from .tokenizers import (
    FeatureKMeansTokenizer,
    KeptTokens,
    PatchKMeansTokenizer,
    VQKDDistiller,
    VQKDTokenizer,
)
from .tunings import Tuning

__all__ = [
    'AdaptedBackbone',
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
    'Readout',
    'Tuning',
    'VPTBackbone',
    'VPTMBackbone',
    'VQKDDistiller',
    'VQKDTokenizer',
]
