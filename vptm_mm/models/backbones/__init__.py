from .adapted_backbone import AdaptedBackbone
from .adaptformer_backbone import AdaptFormerBackbone
from .block_features import BlockFeatures
from .fine_tuned_backbone import FineTunedBackbone
from .frozen_features import FrozenFeatures
from .gate_vpt_backbone import GateVPTBackbone
from .grad_cam_backbone import GradCAMBackbone
from .lora_backbone import LoRABackbone
from .vpt_backbone import VPTBackbone
from .vptm_backbone import VPTMBackbone

__all__ = [
    'AdaptedBackbone',
    'AdaptFormerBackbone',
    'BlockFeatures',
    'FineTunedBackbone',
    'FrozenFeatures',
    'GateVPTBackbone',
    'GradCAMBackbone',
    'LoRABackbone',
    'VPTBackbone',
    'VPTMBackbone',
]
