"""A bottleneck beside a frozen MLP.

Symbols: B batch; S sequence length; C embedding width; s scale.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from .checks import require_int, require_positive


class BottleneckAdapter(nn.Module):
    """The trained branch of an AdaptMLP: s ReLU(x W_down) W_up.

    AdaptFormer <https://arxiv.org/abs/2205.13535>, section 3.2: W_down is
    initialised by Kaiming's normal distribution; W_up and both biases are
    zero, so that the branch starts at zero.

    Args:
        embed_dims: Width C of a token.
        bottleneck_dims: Width of the bottleneck.
        scale: s.

    Shape:
        - Input: normalised tokens, ``(B, S, C)``
        - Output: ``(B, S, C)``

    Raises:
        ValueError: If ``bottleneck_dims`` is below 1, or ``scale`` is not
            positive.
    """

    def __init__(
        self, embed_dims: int, bottleneck_dims: int, scale: float
    ) -> None:
        super().__init__()
        hint = '; the paper has 64 at width 768'
        require_int('bottleneck_dims', bottleneck_dims, 1, hint=hint)
        require_positive('scale', scale, '; the paper has 0.1')
        self.scale = scale
        self.down = nn.Linear(embed_dims, bottleneck_dims)
        self.up = nn.Linear(bottleneck_dims, embed_dims)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise W_down; set everything else to zero."""
        nn.init.kaiming_normal_(self.down.weight, nonlinearity='relu')
        for tensor in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(tensor)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens.to(self.down.weight.dtype)
        return self.scale * self.up(F.relu(self.down(tokens)))
