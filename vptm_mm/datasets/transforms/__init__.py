from .block_mask import BlockMaskGenerator
from .load_checked_image import LoadCheckedImage

__all__ = ['BlockMaskGenerator', 'LoadCheckedImage']
