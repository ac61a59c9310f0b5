"""BEiT v2 of which everything, or each bias, is tuned."""

from collections.abc import Iterable

from mmpretrain.registry import MODELS

from ..encoder import SPEEDUPS
from .adapted_backbone import AdaptedBackbone, plain_readout

TUNINGS = {'all': 'FullTuning', 'bias': 'BitFitTuning'}


@MODELS.register_module()
class FineTunedBackbone(AdaptedBackbone):
    """``FullTuning`` or ``BitFitTuning``, read where a linear probe reads.

    Flat arguments for what ``AdaptedBackbone`` puts together.

    Args:
        encoder: As in ``AdaptedBackbone``.
        tuned: ``'all'`` or ``'bias'``.
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
        tuned: str,
        readout: str = 'cls',
        pool_grid: int = 1,
        init_cfg: dict | None = None,
        speedups: Iterable[str] = SPEEDUPS,
        dtype: str = 'float32',
    ) -> None:
        if tuned not in (*TUNINGS,):
            raise ValueError(f'tuned={tuned!r} must be one of {(*TUNINGS,)}.')
        super().__init__(
            encoder,
            plain_readout(readout, pool_grid),
            dict(type=TUNINGS[tuned]),
            init_cfg=init_cfg,
            speedups=speedups,
            dtype=dtype,
        )
