"""Visual tokens by k-means: what tokenizers of patches and features share.

Symbols: B batch; N patches; V visual tokens; E width of what describes a
patch.
"""

from collections.abc import Iterable, Iterator

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ...nn import require_int

# Descriptions that are held in memory to start from, and by which dead
# entries of the codebook are found.
FIRST_CHUNK = 65_536
CHUNK = 4096
REVIVALS = 10


class KMeansTokenizer(BaseModule):
    """Visual tokens as the nearest entry of a k-means codebook.

    It takes the place of VQ-KD as ``target_generator`` of MMPretrain's
    ``BEiT``, so that a backbone can be pre-trained on any images, without
    CLIP. The masked visual token objective is that of BEiT v2
    <https://arxiv.org/abs/2208.06366>, section 2. Subclasses say by what a
    patch is described.

    The codebook is a buffer: it travels in the checkpoint. Before it is
    fitted it holds NaN, and the tokenizer refuses to run.

    Args:
        num_visual_tokens: Codebook size V.
        width: Numbers E that describe a patch.
        seed: Seed of k-means.

    Shape:
        - Input: images, as ``describe`` takes them
        - Output: ``(B, N)`` token ids

    Raises:
        ValueError: If ``num_visual_tokens`` < 2, or if there are fewer
            descriptions to fit than visual tokens.
        RuntimeError: If it runs before it was fitted.
    """

    codebook: Tensor

    def __init__(self, num_visual_tokens: int, width: int, seed: int) -> None:
        super().__init__()
        require_int('num_visual_tokens', num_visual_tokens, 2)
        self.num_visual_tokens = num_visual_tokens
        self.seed = seed
        self.register_buffer(
            'codebook', torch.full((num_visual_tokens, width), torch.nan)
        )
        self._is_fitted = False

    @property
    def is_fitted(self) -> bool:
        """Whether the codebook has been fitted or loaded."""
        # Once it is, nobody looks: a GPU would have to be waited for.
        self._is_fitted = self._is_fitted or bool(
            torch.isfinite(self.codebook).all()
        )
        return self._is_fitted

    def describe(self, images: Tensor) -> Tensor:
        """Describe each patch of a batch of images, ``(B, N, E)``."""
        raise NotImplementedError

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> int:
        """Fit the codebook to a stream of descriptions, ``(n, E)`` each.

        The first 65,536 are held in memory and give the start; the rest
        passes by. An entry that is the nearest one of none of them is moved
        to the description that is farthest from its own entry.

        Returns:
            How many entries are in use among those descriptions.
        """
        # Not at the top: it would take a third of the time of a start.
        from sklearn.cluster import MiniBatchKMeans

        chunks = _chunks(batches)
        first = next(chunks, self.codebook.new_empty(0, 1)).float().cpu()
        if len(first) < self.num_visual_tokens:
            raise ValueError(
                f'{len(first)} patches cannot be grouped into '
                f'num_visual_tokens={self.num_visual_tokens}; give more '
                'images or fewer visual tokens.'
            )
        start = MiniBatchKMeans(
            self.num_visual_tokens,
            batch_size=CHUNK,
            n_init=3,
            random_state=self.seed,
        ).fit(first.numpy())
        # Starts counting again: each description counts once.
        kmeans = MiniBatchKMeans(
            self.num_visual_tokens,
            init=start.cluster_centers_,
            n_init=1,
            random_state=self.seed,
        ).partial_fit(first.numpy())
        for chunk in chunks:
            kmeans.partial_fit(chunk.float().cpu().numpy())
        codebook = torch.from_numpy(kmeans.cluster_centers_).to(first)
        used = _revive(codebook, first)
        self.codebook.copy_(codebook)
        return used

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        if not self.is_fitted:
            raise RuntimeError(
                'the visual tokenizer has no codebook yet; add '
                "fit_tokenizer=dict(type='FitTokenizerHook') to "
                'default_hooks, or load a pre-training checkpoint.'
            )
        # With --amp, too: half precision would name other entries than those
        # that reports count.
        with torch.autocast(images.device.type, enabled=False):
            return self.assign(self.describe(images.float()))

    def assign(self, descriptions: Tensor) -> Tensor:
        """Token ids of descriptions, ``(..., E)``."""
        return _nearest(descriptions, self.codebook)


def _nearest(descriptions: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest entry, by Euclidean distance."""
    # |x|^2 is the same for every entry, so it cannot change the nearest.
    norms = codebook.square().sum(1)  # (V,)
    return (norms - 2 * descriptions @ codebook.T).argmin(-1)


def _revive(codebook: Tensor, descriptions: Tensor) -> int:
    """Move entries that nothing is nearest to; return how many are used."""
    for _ in range(REVIVALS):
        tokens = _nearest(descriptions, codebook)
        counts = tokens.bincount(minlength=len(codebook))
        dead = (counts == 0).nonzero().flatten()
        if not len(dead):
            break
        distances = (descriptions - codebook[tokens]).square().sum(1)
        codebook[dead] = descriptions[distances.topk(len(dead)).indices]
    return len(_nearest(descriptions, codebook).unique())


def _chunks(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Join batches into a large first chunk and smaller ones after it."""
    held: list[Tensor] = []
    size = FIRST_CHUNK
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= size:
            yield torch.cat(held)
            held, size = [], CHUNK
    if held:
        yield torch.cat(held)
