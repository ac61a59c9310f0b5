"""Relative position bias for tokens that the pre-training did not have.

BEiT v2 knows positions only from a shared table of biases, one row for each
offset between two patches and three rows for [CLS]. A token that is added to
the sequence needs a stated bias towards every other token; the entries between
patches and [CLS] stay bit-identical.

Symbols: H, W rows and columns of patches; S sequence length; h heads.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The three kinds of token, as the table sees them.
PLACED = 0  # has a place in the image: a patch, a [MASK] on the grid
CLS = 1  # uses the table's [CLS] rows
ZERO = 2  # has no bias towards any token


def grid_places(grid_size: tuple[int, int], cells: tuple[int, int]) -> Tensor:
    """Centres of the cells of a grid over the image.

    With as many cells as patches, these are the places of the patches.

    Args:
        grid_size: Rows H and columns W of patches.
        cells: Rows and columns of cells.

    Returns:
        A row and a column for each cell, in patches, row by row; the centre
        of the first patch is (0, 0).
    """
    rows, columns = (
        (torch.arange(count) + 0.5) * (size / count) - 0.5
        for size, count in zip(grid_size, cells, strict=True)
    )
    return torch.cartesian_prod(rows, columns)


class PaddedPositionBias(nn.Module):
    """The bias of a whole sequence, read from BEiT's shared table.

    Two placed tokens, p as query and q as key, get the table at offset p - q,
    interpolated bilinearly between the four nearest offsets. A token with
    [CLS] entries gets cls->token as query, token->cls as key, cls->cls
    towards its like. A pair with a ``ZERO`` token gets 0.

    Args:
        grid_size: Rows H and columns W of patches.
        kinds: ``PLACED``, ``CLS`` or ``ZERO`` for each token, ``(S,)``.
        places: Row and column of each token in patches, ``(S, 2)``; read for
            ``PLACED`` tokens only.

    Shape:
        - Input: the shared table, ``((2H - 1)(2W - 1) + 3, h)``
        - Output: ``(h, S, S)``, query first
    """

    index: Tensor
    between: Tensor
    corners: Tensor
    weights: Tensor

    def __init__(
        self, grid_size: tuple[int, int], kinds: Tensor, places: Tensor
    ) -> None:
        super().__init__()
        # A table, its version, and its bias.
        self._known: tuple[Tensor, int, Tensor] | None = None
        height, width = grid_size
        offsets = (2 * height - 1) * (2 * width - 1)
        cls_to_token, token_to_cls, cls_to_cls, zero = range(
            offsets, offsets + 4
        )
        query, key = torch.meshgrid(kinds, kinds, indexing='ij')

        # Offsets run from 1 - H to H - 1; the table counts them from 0.
        last = torch.tensor([height - 1.0, width - 1.0])
        offset = places[:, None] - places[None, :] + last  # (S, S, 2)
        offset[(query != PLACED) | (key != PLACED)] = 0
        low = offset.floor().long()
        high = torch.minimum(low + 1, 2 * last.long())
        share = offset - low

        index = low[..., 0] * (2 * width - 1) + low[..., 1]
        index[(query == CLS) & (key == PLACED)] = cls_to_token
        index[(query == PLACED) & (key == CLS)] = token_to_cls
        index[(query == CLS) & (key == CLS)] = cls_to_cls
        index[(query == ZERO) | (key == ZERO)] = zero
        self.register_buffer('index', index, persistent=False)

        # Only pairs between two offsets are interpolated: the others are
        # looked up, which keeps them bit-identical.
        pairs = share.ne(0).any(-1)
        low, high, share = low[pairs], high[pairs], share[pairs]
        corner_rows = torch.stack([low, low, high, high], -2)[..., 0]
        corner_columns = torch.stack([low, high, low, high], -2)[..., 1]
        down, right = share.unbind(-1)
        weights = [
            (1 - down) * (1 - right),
            (1 - down) * right,
            down * (1 - right),
            down * right,
        ]
        between = pairs.flatten().nonzero().flatten()
        self.register_buffer('between', between, persistent=False)
        self.register_buffer(
            'corners',
            corner_rows * (2 * width - 1) + corner_columns,
            persistent=False,
        )
        self.register_buffer(
            'weights', torch.stack(weights, -1), persistent=False
        )

    def _apply(self, fn: Any, recurse: bool = True) -> 'PaddedPositionBias':
        self._known = None
        return super()._apply(fn, recurse)

    def forward(self, table: Tensor) -> Tensor:
        if (
            torch.compiler.is_compiling()
            or table.requires_grad
            or table.is_inference()
        ):
            return self._bias_of(table)
        # ``_version`` is torch's only word of a change in place; nn has no
        # room for it but here.
        known, version, bias = self._known or (None, 0, table)
        if known is not table or version != table._version:
            # Training may follow, which takes no tensor of inference mode.
            with torch.inference_mode(False):
                bias = self._bias_of(table)
            self._known = (table, table._version, bias)
        return bias

    def _bias_of(self, table: Tensor) -> Tensor:
        padded = torch.cat([table, table.new_zeros(1, table.size(1))])
        bias = padded[self.index]  # (S, S, h)
        corners = table[self.corners]  # (pairs, 4, h)
        weights = self.weights.to(table.dtype)[..., None]
        # No matrix product: autocast would round it to half precision.
        interpolated = (weights * corners).sum(1)  # (pairs, h)
        # Not index_put, by two indices: autocast on a GPU casts it, and knows
        # no bfloat16 where it computes in float16.
        flat = bias.flatten(0, 1).index_copy(0, self.between, interpolated)
        bias = flat.view_as(bias)
        return _align_rows(bias.permute(2, 0, 1))  # (h, S, S)


def _align_rows(bias: Tensor) -> Tensor:
    """Lay rows out at multiples of 8 numbers, as fused kernels on GPUs want.

    Else they copy the bias in every block.
    """
    length = bias.size(-1)
    # Without anything to add, pad would keep the layout.
    return F.pad(bias.contiguous(), (0, -length % 8))[..., :length]
