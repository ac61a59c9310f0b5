"""Reads from a file of weights which encoder they are of."""

import math
from os import PathLike
from typing import Any

from .preprocessing import Preprocessing
from .pretrained import read_weights


def encoder_config(
    checkpoint: str | PathLike,
) -> tuple[dict[str, Any], Preprocessing | None]:
    """Return the config of the encoder that a file of weights fits.

    Shapes say all of it but the activation, which is BEiT's.

    Args:
        checkpoint: As in ``read_weights``.

    Returns:
        The config, and how images were normalised; None if nobody knows.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a BEiT v2.
    """
    path, _, tensors, _, known = read_weights(checkpoint)
    try:
        width, channels, patch, _ = tensors[
            'encoder.patch_embed.projection.weight'
        ].shape
        table = tensors['encoder.rel_pos_bias.relative_position_bias_table']
        hidden = len(tensors['encoder.layers.0.ffn.layers.0.0.weight'])
    except (KeyError, ValueError) as error:
        raise ValueError(
            f'{path} is not a BEiT v2 with a shared relative position bias '
            f'({error}); take a file of its pre-training.'
        ) from error
    # One row for each offset of two patches, and three for [CLS].
    side = (math.isqrt(len(table) - 3) + 1) // 2
    blocks = {
        name.split('.')[2]
        for name in tensors
        if name.startswith('encoder.layers.')
    }
    has_scale = 'encoder.layers.0.gamma_1' in tensors
    encoder = dict(
        type='BEiTPretrainViT',
        arch=dict(
            embed_dims=width,
            num_layers=len(blocks),
            num_heads=table.size(1),
            feedforward_channels=hidden,
        ),
        img_size=side * patch,
        patch_size=patch,
        in_channels=channels,
        layer_scale_init_value=0.1 if has_scale else 0,
    )
    return encoder, known
