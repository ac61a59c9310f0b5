"""A low-rank update of a weight that stays frozen.

Symbols: r rank; A, B the two factors; alpha their scale.
"""

import torch
from torch import Tensor, nn

from .checks import is_finite, is_int


class LowRankUpdate(nn.Module):
    """The matrix (alpha / r) B A, to be added to a frozen weight.

    LoRA <https://arxiv.org/abs/2106.09685>, section 4.1: A is Gaussian, of
    variance 1 / ``in_features`` here, and B zero, so that the update starts
    at zero.

    Args:
        in_features: Columns of the weight.
        out_features: Rows of the weight.
        rank: Rank r of the update.
        alpha: Scale of the update, divided by r.

    Shape:
        - Output: ``(out_features, in_features)``

    Raises:
        ValueError: If ``rank`` is not within the weight, or ``alpha`` is not
            positive.
    """

    def __init__(
        self, in_features: int, out_features: int, rank: int, alpha: float
    ) -> None:
        super().__init__()
        largest = min(in_features, out_features)
        if not is_int(rank) or not 1 <= rank <= largest:
            raise ValueError(
                f'rank={rank!r} must be an int in 1..{largest}, the '
                f'rank of a {out_features}x{in_features} weight.'
            )
        if not is_finite(alpha) or alpha <= 0:
            raise ValueError(
                f'alpha={alpha!r} must be positive and finite; alpha=rank='
                f'{rank} scales the update by 1.'
            )
        self.scale = alpha / rank
        self.down = nn.Parameter(torch.empty(rank, in_features))
        self.up = nn.Parameter(torch.empty(out_features, rank))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw A, set B to zero."""
        nn.init.normal_(self.down, std=self.down.size(1) ** -0.5)
        nn.init.zeros_(self.up)

    def forward(self) -> Tensor:
        return self.scale * self.up @ self.down
