"""Feature maps of any block of a frozen BEiT v2."""

from collections.abc import Iterable

from mmpretrain.registry import MODELS

from ..encoder import SPEEDUPS
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
        init_cfg: As in ``AdaptedBackbone``.
        speedups: As in ``AdaptedBackbone``.
        dtype: As in ``AdaptedBackbone``.

    Raises:
        ValueError: If the encoder has no such block.
    """

    def __init__(
        self,
        encoder: dict,
        block: int,
        init_cfg: dict | None = None,
        speedups: Iterable[str] = SPEEDUPS,
        dtype: str = 'float32',
    ) -> None:
        super().__init__(
            encoder,
            dict(type='BlockReadout', block=block),
            init_cfg=init_cfg,
            speedups=speedups,
            dtype=dtype,
        )
