from .block_mask import BlockMaskGenerator
from .load_checked_image import LoadCheckedImage
from .load_kept_tokens import LoadKeptTokens
from .two_view_crop import TwoViewCrop

__all__ = [
    'BlockMaskGenerator',
    'LoadCheckedImage',
    'LoadKeptTokens',
    'TwoViewCrop',
]
