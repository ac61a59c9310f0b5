"""How a visual tokenizer uses its codebook, and what its tokens mean.

Symbols: B images; N patches; V visual tokens.
"""

import torch
from torch import Tensor


def token_statistics(
    tokens: Tensor, num_visual_tokens: int, labels: Tensor | None = None
) -> dict[str, float]:
    """Describe the tokens of some images.

    Args:
        tokens: Token ids, ``(B, N)``.
        num_visual_tokens: Codebook size V.
        labels: Class of each image, ``(B,)``, if known.

    Returns:
        ``images`` and ``patches``, how many there are; ``used``, the share of
        the codebook that occurs; ``perplexity``, e to the entropy of the
        tokens: V if all are equally frequent; with labels
        ``ami``, the adjusted mutual information of token and class of its
        image: 1 if each tells the other, about 0 if neither tells anything.
        Patches of one image are alike, so that few images raise it: compare
        tokens on the same images.
    """
    counts = tokens.flatten().bincount(minlength=num_visual_tokens)
    shares = counts / counts.sum()
    found = dict(
        images=len(tokens),
        patches=tokens.numel(),
        used=(counts > 0).float().mean().item(),
        perplexity=torch.special.entr(shares).sum().exp().item(),
    )
    if labels is not None:
        # Not at the top: it would take a third of the time of a start.
        from sklearn.metrics import adjusted_mutual_info_score

        found['ami'] = adjusted_mutual_info_score(
            labels.repeat_interleave(tokens.shape[1]).numpy(),
            tokens.flatten().numpy(),
        )
    return found
