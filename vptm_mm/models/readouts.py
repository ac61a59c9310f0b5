"""What is read from a BEiT v2.

Symbols: B batch; S sequence length; H, W rows and columns of patches,
N = H * W of them; g masks along one side, M = g * g of them; C embedding
width; V visual tokens.
"""

import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ..nn import NO_MASKS, MaskLayout, TokenSequence, require_int
from .encoder import FrozenEncoder

VISUAL_TOKENS = ('hidden', 'logits')
ALONG_A_SIDE = ', the patches along one side of the image'


class Readout(nn.Module):
    """Base class of what turns the states of the last block into a feature.

    Args:
        encoder: The encoder; ``out_channels`` is its width C by default.

    Shape:
        - Input: ``(B, S, C)``, or those of ``needed`` after the last block
        - Output: ``(B, out_channels)`` by default
    """

    # The [MASK]s that join the image: the side of their grid, their bias.
    mask_layout: MaskLayout = NO_MASKS

    def __init__(self, encoder: FrozenEncoder) -> None:
        super().__init__()
        self.out_channels = encoder.embed_dims
        self.num_blocks = encoder.num_layers

    def needed(self, sequence: TokenSequence) -> slice | None:
        """Return the only tokens that the last block must compute, if any."""
        return None


@MODELS.register_module()
class MaskReadout(Readout):
    """The predicted visual token of [MASK]s that are added to the image.

    VPTM <https://arxiv.org/abs/2303.04998>: the state at [MASK], after the
    final norm of the pre-training, is what the pre-trained token predictor
    reads.

    Args:
        mask_grid: Masks g along one side: g x g [MASK] tokens at the centres
            of the cells of a grid over the image.
        mask_bias: Position bias of [MASK]: ``'grid'`` gives it a place in the
            image, ``'zero'`` and ``'cls'`` do not.
        visual_token: What represents the predicted visual token:
            ``'hidden'``, the state at [MASK], or ``'logits'``, the
            log-probabilities of the V visual tokens.

    Shape:
        - Output: ``(B, M * C)``, or ``(B, M * V)`` with
          ``visual_token='logits'``

    Raises:
        ValueError: If an option is out of range, or the encoder has no token
            predictor that ``'logits'`` needs.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        mask_grid: int = 1,
        mask_bias: str = 'grid',
        visual_token: str = 'hidden',
    ) -> None:
        super().__init__(encoder)
        side = min(encoder.patch_resolution)
        require_int('mask_grid', mask_grid, 1, side, ALONG_A_SIDE)
        if visual_token not in VISUAL_TOKENS:
            raise ValueError(
                f'visual_token={visual_token!r} must be one of '
                f'{VISUAL_TOKENS}.'
            )
        width = encoder.embed_dims
        if visual_token == 'logits':
            if encoder.token_predictor is None:
                raise ValueError(
                    "visual_token='logits' needs num_visual_tokens of the "
                    'token predictor of the pre-training, as 8192.'
                )
            width = encoder.token_predictor.out_features
        self.mask_layout = (mask_grid, mask_bias)
        self.visual_token = visual_token
        self.out_channels = mask_grid**2 * width

    def needed(self, sequence: TokenSequence) -> slice:
        """Return the places of the [MASK]s."""
        return sequence.masks

    def forward(
        self, tokens: Tensor, encoder: FrozenEncoder, sequence: TokenSequence
    ) -> Tensor:
        hidden = encoder.ln1(tokens)  # (B, M, C)
        if self.visual_token == 'hidden' or encoder.token_predictor is None:
            return hidden.flatten(1)
        logits = encoder.token_predictor(hidden)  # (B, M, V)
        return logits.float().log_softmax(-1).flatten(1)


@MODELS.register_module()
class ClsReadout(Readout):
    """The state of [CLS], after the final norm."""

    def needed(self, sequence: TokenSequence) -> slice:
        """Return the place of [CLS]."""
        return slice(0, 1)

    def forward(
        self, tokens: Tensor, encoder: FrozenEncoder, sequence: TokenSequence
    ) -> Tensor:
        return encoder.ln1(tokens)[:, 0]  # (B, C)


@MODELS.register_module()
class PatchReadout(Readout):
    """The averaged states of the patches, after the final norm.

    Args:
        pool_grid: Cells along one side: the patches are averaged in each cell
            of a ``pool_grid`` x ``pool_grid`` grid, and concatenated.
    """

    def __init__(self, encoder: FrozenEncoder, pool_grid: int = 1) -> None:
        super().__init__(encoder)
        side = min(encoder.patch_resolution)
        require_int('pool_grid', pool_grid, 1, side, ALONG_A_SIDE)
        self.pool_grid = pool_grid
        self.out_channels = pool_grid**2 * encoder.embed_dims

    def forward(
        self, tokens: Tensor, encoder: FrozenEncoder, sequence: TokenSequence
    ) -> Tensor:
        states = encoder.ln1(tokens)
        grid = patch_map(states, encoder, sequence)  # (B, C, H, W)
        return F.adaptive_avg_pool2d(grid, self.pool_grid).flatten(1)


@MODELS.register_module()
class BlockReadout(Readout):
    """The states of the patches after any block, as a feature map.

    Args:
        block: Index of the block, counted from 0; those behind it are not
            run.

    Shape:
        - Output: ``(B, C, H, W)``
    """

    def __init__(self, encoder: FrozenEncoder, block: int) -> None:
        super().__init__(encoder)
        require_int('block', block, 0, encoder.num_layers - 1)
        self.num_blocks = block + 1

    def forward(
        self, tokens: Tensor, encoder: FrozenEncoder, sequence: TokenSequence
    ) -> Tensor:
        return patch_map(tokens, encoder, sequence)


def patch_map(
    tokens: Tensor, encoder: FrozenEncoder, sequence: TokenSequence
) -> Tensor:
    """Return the patches of a sequence as a map, ``(B, C, H, W)``."""
    patches = tokens[:, sequence.patches]  # (B, N, C)
    return patches.unflatten(1, encoder.patch_resolution).permute(0, 3, 1, 2)
