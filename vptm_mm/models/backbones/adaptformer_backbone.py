"""AdaptFormer on the frozen BEiT v2."""

from collections.abc import Iterable

from mmpretrain.registry import MODELS

from ..encoder import SPEEDUPS
from .adapted_backbone import AdaptedBackbone, plain_readout


@MODELS.register_module()
class AdaptFormerBackbone(AdaptedBackbone):
    """``AdaptFormerTuning``, read where a linear probe reads.

    Flat arguments for what ``AdaptedBackbone`` puts together.

    Args:
        encoder: As in ``AdaptedBackbone``.
        bottleneck_dims: As in ``AdaptFormerTuning``.
        scale: As in ``AdaptFormerTuning``.
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
        bottleneck_dims: int = 64,
        scale: float = 0.1,
        readout: str = 'cls',
        pool_grid: int = 1,
        init_cfg: dict | None = None,
        speedups: Iterable[str] = SPEEDUPS,
        dtype: str = 'float32',
    ) -> None:
        super().__init__(
            encoder,
            plain_readout(readout, pool_grid),
            dict(
                type='AdaptFormerTuning',
                bottleneck_dims=bottleneck_dims,
                scale=scale,
            ),
            init_cfg=init_cfg,
            speedups=speedups,
            dtype=dtype,
        )
