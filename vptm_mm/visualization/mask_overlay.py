"""Where [MASK] looks in one image, as one picture.

Symbols: H, W rows and columns of patches, N = H * W of them; M [MASK] tokens;
S sequence length; h heads.
"""

from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor

from .attention import recorded_attention
from .style import HEAT

OPACITY = 0.6  # of the heat over the image


@torch.no_grad()
def mask_attention(
    pool: Any, image: Any
) -> tuple[dict[str, dict[str, Any]], dict[str, Tensor]]:
    """Classify an image, and see where the [MASK]s look in the last block.

    The encoder runs once for all tasks. What is returned is the mean over
    heads and [MASK]s; what is missing to 1 goes to [CLS], to [MASK]s and to
    prompts.

    Args:
        pool: A ``VPTMTaskPool``.
        image: What ``pool.prepare`` made of the image, for its tasks.

    Returns:
        For each task what ``pool.predict`` gives, and the share of the
        attention of its [MASK]s on each patch, ``(H, W)``.
    """
    with recorded_attention(pool.encoder) as weights:
        (results,) = pool.classify([image])
    looks = {}
    for name, row in pool.rows(image).items():
        sequence = pool.tasks[name].sequence
        shares = weights[-1][row].float().mean(0)  # (S, S)
        shares = shares[sequence.masks, sequence.patches].mean(0)  # (N,)
        looks[name] = shares.unflatten(0, pool.encoder.patch_resolution).cpu()
    return results, looks


def draw_overlay(pixels: np.ndarray, looks: Tensor) -> np.ndarray:
    """Lay what is looked at over a grey image, dark for 0, bright for most.

    Args:
        pixels: The image, 0-1.
        looks: Share of the attention on each patch.

    Shape:
        - Input: ``(height, width, 3)``, ``(H, W)``
        - Output: ``(height, width, 3)`` in uint8
    """
    heat = colormaps[HEAT]((looks / looks.max()).numpy())[..., :3]
    for axis in (0, 1):
        patch = pixels.shape[axis] // heat.shape[axis]
        heat = heat.repeat(patch, axis)
    grey = pixels.mean(-1, keepdims=True)
    return to_uint8(OPACITY * heat + (1 - OPACITY) * grey)


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Turn pixels of 0-1 into 0-255."""
    return np.rint(255 * pixels).astype(np.uint8)
