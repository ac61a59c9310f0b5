"""From a predicted visual token to class scores: the prototypical verbalizer.

Symbols: B batch; K classes; d prototype dimension; z the predicted visual
token, v its projection; tau temperature.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checks import require_int, require_positive


class PrototypicalVerbalizer(nn.Module):
    """One prototype a class; the class is decided by cosine similarity.

    Prototypical Verbalizer for Prompt-based Few-shot Tuning
    <https://arxiv.org/abs/2203.09770>, section 3.2: v = W z with no bias,
    s_k = cos(v, c_k). Scores are s / tau.

    Args:
        in_channels: Width of z.
        num_classes: Classes K.
        prototype_dim: Width d of a prototype.
        temperature: tau; smaller is sharper.
        learnable_temperature: Whether training changes tau.

    Shape:
        - Input: v, ``(B, d)``
        - Output: ``(B, K)``, float32

    Raises:
        ValueError: If a size is not an int, or below 1, or ``temperature``
            is not positive and finite.
    """

    log_temperature: Tensor

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        prototype_dim: int,
        temperature: float,
        learnable_temperature: bool = False,
    ) -> None:
        super().__init__()
        require_int('in_channels', in_channels, 1)
        require_int('num_classes', num_classes, 1)
        require_int('prototype_dim', prototype_dim, 1)
        require_positive('temperature', temperature, '; 0.1 is a good start')
        self.projection = nn.Linear(in_channels, prototype_dim, bias=False)
        self.prototypes = nn.Parameter(torch.empty(num_classes, prototype_dim))
        # Its logarithm, so that a learnt temperature stays positive.
        log_temperature = torch.tensor(math.log(temperature))
        if learnable_temperature:
            self.log_temperature = nn.Parameter(log_temperature)
        else:
            self.register_buffer('log_temperature', log_temperature)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Orthogonal projection: it keeps the angles of the pre-training."""
        nn.init.orthogonal_(self.projection.weight)
        nn.init.xavier_uniform_(self.prototypes)

    @property
    def temperature(self) -> Tensor:
        """tau, a scalar."""
        return self.log_temperature.exp()

    @torch.no_grad()
    def set_prototypes(self, prototypes: Tensor) -> None:
        """Set the prototypes to given directions, ``(K, d)``."""
        self.prototypes.copy_(_unit(prototypes))

    @torch.no_grad()
    def set_projection(self, weight: Tensor) -> None:
        """Set W to ``(d, in_channels)``."""
        self.projection.weight.copy_(weight)

    def forward(self, projected: Tensor) -> Tensor:
        # Under autocast the product would run in half precision, where 1 / tau
        # magnifies its rounding.
        with torch.autocast(projected.device.type, enabled=False):
            unit = _unit(projected)  # (B, d)
            prototypes = _unit(self.prototypes)  # (K, d)
            return unit @ prototypes.T / self.temperature  # (B, K)


def instance_loss(
    projected: Tensor, labels: Tensor, temperature: Tensor | float
) -> Tensor:
    """Supervised instance-instance loss of ProtoVerb.

    ProtoVerb <https://arxiv.org/abs/2203.09770>, equation 3: for each pair
    of instances of one class, -log(e^s_ij / (e^s_ij + sum e^s_ik)), where k
    runs over the instances of other classes; averaged over the pairs. Here
    s = cos / tau, with the verbalizer's temperature.

    Args:
        projected: v, ``(B, d)``.
        labels: Class of each instance, ``(B,)``.
        temperature: tau.

    Returns:
        A scalar; exactly 0, with zero gradient, if the batch has no positive
        or no negative pair.
    """
    with torch.autocast(projected.device.type, enabled=False):
        unit = _unit(projected)  # (B, d)
        similarity = unit @ unit.T / temperature  # (B, B)
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive = same & ~itself
    # Not -inf, whose logsumexp has no gradient where all are of one class.
    # No branch, no mask as an index: a GPU would have to be waited for.
    lowest = torch.finfo(similarity.dtype).min
    negatives = similarity.masked_fill(same, lowest).logsumexp(1)  # (B,)
    losses = F.softplus(negatives[:, None] - similarity)  # (B, B)
    return (losses * positive).sum() / positive.sum().clamp(min=1)


def _unit(vectors: Tensor) -> Tensor:
    """Scale to length 1; a vector near 0 keeps a bounded gradient."""
    return F.normalize(vectors.float(), dim=-1, eps=1e-4)
