"""Colours and edges of images, which a classifier can read by itself.

Symbols: B images; H, W their rows and columns; F width of a feature.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 64  # larger images are averaged down to it
DIRECTIONS = 8
SHADES = 4  # of each channel


def colours_and_edges(images: Tensor) -> Tensor:
    """Return a histogram of colours and one of edges, by place.

    Colours are counted in each quarter of the image, directions of edges, by
    their strength, in 4 x 4 places.

    Args:
        images: Pixels 0-255 of three channels, 2 x 2 at least.

    Shape:
        - Input: ``(B, 3, H, W)``
        - Output: ``(B, F)``
    """
    height, width = images.shape[2:]
    size = min(height, SIDE), min(width, SIDE)
    images = F.adaptive_avg_pool2d(images.float(), size)
    a, b, c = (images * SHADES / 256).long().unbind(1)  # RGB or BGR
    colours = _one_hot((a * SHADES + b) * SHADES + c, SHADES**3)
    down, right = torch.gradient(images.mean(1), dim=(1, 2))
    # Half a turn makes no difference: an edge has two directions.
    turns = torch.atan2(down, right) / math.pi * DIRECTIONS
    direction = turns.round().long() % DIRECTIONS
    strength = torch.hypot(down, right)[:, None]
    edges = _one_hot(direction, DIRECTIONS) * strength
    edges = F.normalize(F.adaptive_avg_pool2d(edges, 4).flatten(1))
    colours = F.adaptive_avg_pool2d(colours, 2).flatten(1)
    return torch.cat([colours, edges], 1).sqrt()


def _one_hot(indices: Tensor, number: int) -> Tensor:
    """One-hot maps of a map of indices, ``(B, number, H, W)``."""
    return F.one_hot(indices, number).permute(0, 3, 1, 2).float()
