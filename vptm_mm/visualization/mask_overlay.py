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
def mask_attention(pool: Any, task: str, image: Tensor) -> Tensor:
    """Share of the attention of [MASK] on each patch, in the last block.

    The mean over heads and [MASK]s. What is missing to 1 goes to [CLS], to
    [MASK]s and to prompts.

    Args:
        pool: A ``VPTMTaskPool``.
        task: Name of the task in the pool whose [MASK]s look.
        image: One image, as ``tasks.pool.prepare`` makes it for the task.

    Shape:
        - Input: ``(3, img_size, img_size)``
        - Output: ``(H, W)``

    Raises:
        ValueError: If the task is not in the pool.
    """
    with recorded_attention(pool.encoder) as weights:
        pool(image[None], task)
    sequence = pool.tasks[task].sequence
    looks = weights[-1][0].float().mean(0)  # (S, S)
    looks = looks[sequence.masks, sequence.patches].mean(0)  # (N,)
    return looks.unflatten(0, pool.encoder.patch_resolution).cpu()


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
