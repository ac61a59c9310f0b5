"""Gated visual prompts on the frozen BEiT v2."""

from collections.abc import Iterable

from mmpretrain.registry import MODELS

from ..encoder import SPEEDUPS
from .adapted_backbone import AdaptedBackbone, plain_readout


@MODELS.register_module()
class GateVPTBackbone(AdaptedBackbone):
    """``GatedPromptTuning``, read where a linear probe reads.

    Prompts stand between [CLS] and the patches.

    Args:
        encoder: As in ``AdaptedBackbone``.
        prompt_length: As in ``GatedPromptTuning``.
        initial_gate: As in ``GatedPromptTuning``.
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
        prompt_length: int = 10,
        initial_gate: float = 0.5,
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
                type='GatedPromptTuning',
                prompt_length=prompt_length,
                initial_gate=initial_gate,
                prompt_location='after_cls',
            ),
            init_cfg=init_cfg,
            speedups=speedups,
            dtype=dtype,
        )
