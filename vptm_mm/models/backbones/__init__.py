from .frozen_features import FrozenFeatures
from .grad_cam_backbone import GradCAMBackbone
from .vptm_backbone import VPTMBackbone

__all__ = ['FrozenFeatures', 'GradCAMBackbone', 'VPTMBackbone']
