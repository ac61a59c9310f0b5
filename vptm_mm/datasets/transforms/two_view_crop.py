"""Two views of one crop, of images of any size."""

import numpy as np
from mmpretrain.datasets.transforms import (
    RandomResizedCropAndInterpolationWithTwoPic,
)
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class TwoViewCrop(RandomResizedCropAndInterpolationWithTwoPic):
    """The host's crop for pre-training, which is never empty.

    Of an image of 1 px the host rounds a crop of less than a quarter to 0 px,
    and resizing that is an error of OpenCV without a path. Here a crop has
    one pixel at least. All others are the host's.

    Arguments are the host's.
    """

    @staticmethod
    def get_params(
        img: np.ndarray, scale: tuple, ratio: tuple
    ) -> tuple[int, int, int, int]:
        """Draw top, left, height and width of a crop, in pixels."""
        top, left, height, width = (
            RandomResizedCropAndInterpolationWithTwoPic.get_params(
                img, scale, ratio
            )
        )
        return top, left, max(1, height), max(1, width)
