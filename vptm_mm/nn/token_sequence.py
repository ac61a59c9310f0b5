"""The order of the tokens in a sequence, and their position bias.

Symbols: H, W rows and columns of patches, N = H * W of them; P prompt tokens;
g masks along one side, M = g * g of them; S = 1 + N + P + M sequence length.
"""

import math

import torch
from torch import nn

from .position_bias import (
    CLS,
    PLACED,
    ZERO,
    PaddedPositionBias,
    grid_places,
)

LOCATIONS = ('after_cls', 'after_patches', 'after_mask')
PROMPT_BIASES = {'zero': ZERO, 'cls': CLS}
MASK_BIASES = {'grid': PLACED, 'zero': ZERO, 'cls': CLS}
# [MASK]s along one side of the image, and their position bias.
MaskLayout = tuple[int, str]
NO_MASKS: MaskLayout = (0, 'zero')


class TokenSequence(nn.Module):
    """The order of [CLS], patches, [MASK]s and prompts, and their bias.

    ``plain_bias`` is the position bias without prompts, ``(h, S - P, S - P)``
    from the shared table; ``prompted_bias`` the one with prompts,
    ``(h, S, S)``. Prompts enter at ``prompt_start``; once they are in, they
    stand at ``prompts``, the patches at ``patches``, the [MASK]s at ``masks``.
    ``mask_places`` is the row and column of each [MASK] in patches,
    ``(M, 2)``, or None if they have no place.

    Args:
        grid_size: Rows H and columns W of patches.
        mask_grid: Masks g along one side; 0 for none.
        mask_bias: ``'grid'``, ``'zero'`` or ``'cls'``.
        prompt_length: Prompt tokens P.
        prompt_location: ``'after_cls'``, ``'after_patches'`` or
            ``'after_mask'``.
        prompt_bias: ``'zero'`` or ``'cls'``.

    Raises:
        ValueError: If a bias or the location is none of these.
    """

    def __init__(
        self,
        grid_size: tuple[int, int],
        mask_grid: int,
        mask_bias: str,
        prompt_length: int,
        prompt_location: str,
        prompt_bias: str,
    ) -> None:
        super().__init__()
        for name, value, allowed in (
            ('mask_bias', mask_bias, tuple(MASK_BIASES)),
            ('prompt_bias', prompt_bias, tuple(PROMPT_BIASES)),
            ('prompt_location', prompt_location, LOCATIONS),
        ):
            if value not in allowed:
                raise ValueError(f'{name}={value!r} must be one of {allowed}.')
        num_patches = math.prod(grid_size)
        self.num_masks = mask_grid**2
        start = {
            'after_cls': 1,
            'after_patches': 1 + num_patches,
            'after_mask': 1 + num_patches + self.num_masks,
        }[prompt_location]
        first_patch = 1
        if prompt_location == 'after_cls':
            first_patch += prompt_length
        first_mask = 1 + num_patches
        if prompt_location != 'after_mask':
            first_mask += prompt_length
        self.prompt_start = start
        self.prompts = slice(start, start + prompt_length)
        self.patches = slice(first_patch, first_patch + num_patches)
        self.masks = slice(first_mask, first_mask + self.num_masks)

        mask_places = (
            grid_places(grid_size, (mask_grid, mask_grid))
            if mask_grid
            else torch.zeros(0, 2)
        )
        self.mask_places = mask_places if mask_bias == 'grid' else None

        nowhere = torch.zeros(1, 2)
        kinds = torch.tensor(
            [CLS]
            + [PLACED] * num_patches
            + [MASK_BIASES[mask_bias]] * self.num_masks
        )
        places = torch.cat(
            [nowhere, grid_places(grid_size, grid_size), mask_places]
        )
        self.plain_bias = PaddedPositionBias(grid_size, kinds, places)
        prompts = torch.full((prompt_length,), PROMPT_BIASES[prompt_bias])
        self.prompted_bias = PaddedPositionBias(
            grid_size,
            torch.cat([kinds[:start], prompts, kinds[start:]]),
            torch.cat(
                [
                    places[:start],
                    nowhere.expand(prompt_length, 2),
                    places[start:],
                ]
            ),
        )
