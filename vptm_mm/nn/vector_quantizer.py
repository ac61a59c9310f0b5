"""A codebook on the unit sphere that follows what it is used for.

Symbols: M vectors; V entries of the codebook; E width of an entry.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

from .checks import is_finite, require_int

# Of the use that every entry would have if all had the same.
DEAD_SHARE = 0.02


class VectorQuantizer(nn.Module):
    """Replace each vector by the entry of the same direction.

    The codebook follows the mean direction of the vectors that an entry
    stands for, by a moving average, as in BEiT v2
    <https://arxiv.org/abs/2208.06366>, section 2.2.1. Entries that hardly
    anything falls on are moved to vectors of the batch. Names in the state
    dict are those of MMPretrain's ``NormEMAVectorQuantizer``.

    Args:
        num_embed: Entries V of the codebook.
        embed_dims: Width E of an entry.
        decay: Share of the old mean that one batch leaves, 0-1.
        beta: Weight of the loss that pulls vectors to their entries.

    Shape:
        - Input: ``(..., E)``
        - Output: quantized vectors ``(..., E)`` of length 1; the loss, a
          scalar; entry ids ``(...)``

    Raises:
        ValueError: If ``decay`` is not in 0..1, or ``num_embed`` < 2.
    """

    cluster_size: Tensor

    def __init__(
        self,
        num_embed: int,
        embed_dims: int,
        decay: float = 0.99,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        require_int('num_embed', num_embed, 2)
        if not is_finite(decay) or not 0 <= decay < 1:
            raise ValueError(f'decay={decay!r} must be in 0..1, below 1.')
        self.decay = decay
        self.beta = beta
        self.embedding = _Codebook(num_embed, embed_dims)
        self.register_buffer('cluster_size', torch.zeros(num_embed))
        self._is_fitted = False

    @property
    def is_fitted(self) -> bool:
        """Whether the codebook has seen data, or was loaded."""
        # Once it is, nobody looks: a GPU would have to be waited for.
        self._is_fitted = self._is_fitted or bool(self.embedding.initted.all())
        return self._is_fitted

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        directions = F.normalize(vectors.float(), dim=-1)  # (..., E)
        flat = directions.detach().flatten(0, -2)  # (M, E)
        if self.training and not self.is_fitted:
            self._start_from(flat)
        # In half precision close entries are one.
        with torch.autocast(flat.device.type, enabled=False):
            ids = (flat @ self.embedding.weight.T).argmax(-1)  # (M,)
        quantized = self.embedding.weight[ids].view_as(directions)
        if self.training:
            self._follow(flat, ids)
        loss = self.beta * F.mse_loss(directions, quantized)
        # The decoder's gradient passes as if nothing had been replaced.
        passed = directions + (quantized - directions).detach()
        return passed, loss, ids.view(directions.shape[:-1])

    def _start_from(self, flat: Tensor) -> None:
        """Take vectors of the first batch as entries."""
        picked = self._pick(flat, len(self.embedding.weight))
        self.embedding.weight.copy_(picked)
        self.cluster_size.fill_(len(flat) / len(self.cluster_size))
        self.embedding.initted.fill_(1)

    @torch.no_grad()
    def _follow(self, flat: Tensor, ids: Tensor) -> None:
        """Move the entries to what they stood for in this batch."""
        weight = self.embedding.weight
        # Not bincount, and no mask as an index: a GPU would have to be waited
        # for.
        ones = flat.new_ones(len(ids))
        counts = flat.new_zeros(len(weight)).index_add_(0, ids, ones)  # (V,)
        sums = torch.zeros_like(weight).index_add_(0, ids, flat)  # (V, E)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(counts)
            distributed.all_reduce(sums)
        self.cluster_size.lerp_(counts, 1 - self.decay)
        moved = weight.lerp(F.normalize(sums, dim=-1), 1 - self.decay)
        used = counts[:, None] > 0
        weight.copy_(torch.where(used, F.normalize(moved, dim=-1), weight))
        dead = self.cluster_size < DEAD_SHARE * self.cluster_size.mean()
        if dead.any():
            weight[dead] = self._pick(flat, int(dead.sum()))
            self.cluster_size[dead] = self.cluster_size.mean()

    def _pick(self, flat: Tensor, count: int) -> Tensor:
        """Sample vectors, the same ones in every process."""
        order = torch.randperm(max(len(flat), count), device=flat.device)
        picked = flat[order[:count] % len(flat)].clone()
        if distributed.is_available() and distributed.is_initialized():
            distributed.broadcast(picked, 0)
        return picked


class _Codebook(nn.Module):
    """Holds the entries under the host's names."""

    initted: Tensor

    def __init__(self, num_embed: int, embed_dims: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.zeros(num_embed, embed_dims), requires_grad=False
        )
        self.register_buffer('initted', torch.zeros(1))
