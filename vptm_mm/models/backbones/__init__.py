from .frozen_features import FrozenFeatures
from .vptm_backbone import VPTMBackbone

__all__ = ['FrozenFeatures', 'VPTMBackbone']
