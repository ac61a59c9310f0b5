from .adapted_backbone import AdaptedBackbone
from .baselines import (
    AdaptFormerBackbone,
    FineTunedBackbone,
    FrozenFeatures,
    GateVPTBackbone,
    LoRABackbone,
    VPTBackbone,
)
from .block_features import BlockFeatures
from .grad_cam_backbone import GradCAMBackbone
from .vptm_backbone import VPTMBackbone

__all__ = [
    'AdaptFormerBackbone',
    'AdaptedBackbone',
    'BlockFeatures',
    'FineTunedBackbone',
    'FrozenFeatures',
    'GateVPTBackbone',
    'GradCAMBackbone',
    'LoRABackbone',
    'VPTBackbone',
    'VPTMBackbone',
]
