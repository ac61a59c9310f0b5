from .block_mask import BlockMaskGenerator
from .load_checked_image import LoadCheckedImage
from .two_view_crop import TwoViewCrop

__all__ = ['BlockMaskGenerator', 'LoadCheckedImage', 'TwoViewCrop']
