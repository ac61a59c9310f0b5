"""LoRA on the attention of the frozen BEiT v2."""

from collections.abc import Iterable

from mmpretrain.registry import MODELS

from ..encoder import SPEEDUPS
from .adapted_backbone import AdaptedBackbone, plain_readout


@MODELS.register_module()
class LoRABackbone(AdaptedBackbone):
    """``LoRATuning``, read where a linear probe reads.

    Flat arguments for what ``AdaptedBackbone`` puts together.

    Args:
        encoder: As in ``AdaptedBackbone``.
        rank: As in ``LoRATuning``.
        alpha: As in ``LoRATuning``.
        readout: ``'cls'``, the state of [CLS], or ``'patches'``, the averaged
            states of the patches; both after the final norm.
        pool_grid: As in ``PatchReadout``.
        init_cfg: As in ``AdaptedBackbone``.
        speedups: As in ``AdaptedBackbone``.
        dtype: As in ``AdaptedBackbone``.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        encoder: dict,
        rank: int = 4,
        alpha: float = 4.0,
        readout: str = 'cls',
        pool_grid: int = 1,
        init_cfg: dict | None = None,
        speedups: Iterable[str] = SPEEDUPS,
        dtype: str = 'float32',
    ) -> None:
        super().__init__(
            encoder,
            plain_readout(readout, pool_grid),
            dict(type='LoRATuning', rank=rank, alpha=alpha),
            init_cfg=init_cfg,
            speedups=speedups,
            dtype=dtype,
        )
