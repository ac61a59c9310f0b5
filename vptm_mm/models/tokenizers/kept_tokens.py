"""Visual tokens that were computed before training.

Symbols: B batch; N patches, H x W of them; V visual tokens.
"""

from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from ...nn import require_int


@MODELS.register_module()
class KeptTokens(BaseModule):
    """Read the token ids that ``LoadKeptTokens`` has put beside an image.

    It takes the place of a tokenizer as ``target_generator`` of MMPretrain's
    ``BEiT``: a large teacher looks at each image once, not in each epoch.

    Args:
        num_visual_tokens: Codebook size V.

    Shape:
        - Input: ``(B, 3, H, W)``, ids in each channel
        - Output: ``(B, N)`` token ids
    """

    is_fitted = True

    def __init__(self, num_visual_tokens: int) -> None:
        super().__init__()
        require_int('num_visual_tokens', num_visual_tokens, 2)
        self.num_visual_tokens = num_visual_tokens

    def forward(self, images: Tensor) -> Tensor:
        ids = images[:, 0].flatten(1).long()
        low, high = ids.aminmax()
        if (
            low < 0
            or high >= self.num_visual_tokens
            or (ids != images[:, 0].flatten(1)).any()
        ):
            raise ValueError(
                f'the second view holds values from {images.min():.4g} to '
                f'{images.max():.4g}; expected ids of 0 to '
                f'{self.num_visual_tokens - 1}. Set num_visual_tokens to that '
                'of the tokens file, LoadKeptTokens in the pipeline, and '
                'second_mean=[0, 0, 0], second_std=[1, 1, 1].'
            )
        return ids
