"""Feature maps of any block of a frozen BEiT v2."""

from typing import Any

from mmpretrain.registry import MODELS

from .adapted_backbone import AdaptedBackbone


@MODELS.register_module()
class BlockFeatures(AdaptedBackbone):
    """States of the patches after one block of a frozen BEiT v2.

    A teacher for the tokenizer of the next round of pre-training: middle
    blocks hold more of what an image shows than the last one, which has to
    predict tokens.

    Args:
        encoder: As in ``AdaptedBackbone``.
        block: As in ``BlockReadout``.
        **options: As in ``AdaptedBackbone``.

    Raises:
        ValueError: If the encoder has no such block.
    """

    def __init__(self, encoder: dict, block: int, **options: Any) -> None:
        readout = dict(type='BlockReadout', block=block)
        super().__init__(encoder, readout, **options)
