"""A low-rank update of a weight that stays frozen.

Symbols: r rank; A, B the two factors; alpha their scale.
"""

import torch
from torch import Tensor, nn

from .checks import require_int, require_positive


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
        hint = f', the rank of a {out_features}x{in_features} weight'
        require_int('rank', rank, 1, largest, hint)
        hint = f'; alpha=rank={rank} scales the update by 1'
        require_positive('alpha', alpha, hint)
        self.scale = alpha / rank
        self.down = nn.Parameter(torch.empty(rank, in_features))
        self.up = nn.Parameter(torch.empty(out_features, rank))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise A; set B to zero."""
        nn.init.normal_(self.down, std=self.down.size(1) ** -0.5)
        nn.init.zeros_(self.up)

    def forward(self) -> Tensor:
        return self.scale * self.up @ self.down
