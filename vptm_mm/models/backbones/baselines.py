"""Baselines of VPTM by flat arguments: tunings with a linear probe's readout.

Each puts parts together that ``AdaptedBackbone`` takes by config.
"""

from collections.abc import Iterable
from typing import Any

from mmpretrain.registry import MODELS

from .adapted_backbone import AdaptedBackbone

TUNINGS = {'all': 'FullTuning', 'bias': 'BitFitTuning'}


@MODELS.register_module()
class FrozenFeatures(AdaptedBackbone):
    """Features of a frozen BEiT v2, as a linear probe reads them.

    Args:
        encoder: As in ``AdaptedBackbone``.
        readout: ``'cls'``, the state of [CLS], or ``'patches'``, the averaged
            states of the patches; both after the final norm.
        pool_grid: As in ``PatchReadout``.
        **options: As in ``AdaptedBackbone``.

    Raises:
        ValueError: If ``readout`` is unknown, [CLS] is to be pooled, or as
            ``AdaptedBackbone``.
    """

    def __init__(
        self,
        encoder: dict,
        readout: str = 'cls',
        pool_grid: int = 1,
        **options: Any,
    ) -> None:
        if readout not in ('cls', 'patches'):
            raise ValueError(
                f"readout={readout!r} must be one of ('cls', 'patches')."
            )
        part = dict(type='PatchReadout', pool_grid=pool_grid)
        if readout == 'cls':
            part = dict(type='ClsReadout')
            if type(pool_grid) is not int or pool_grid != 1:
                raise ValueError(
                    f"pool_grid={pool_grid!r} must be 1 with readout='cls'; "
                    "set readout='patches' to average patches in cells."
                )
        super().__init__(encoder, part, **options)


@MODELS.register_module()
class VPTBackbone(FrozenFeatures):
    """``PromptTuning``, with prompts between [CLS] and the patches.

    Args:
        encoder: As in ``AdaptedBackbone``.
        prompt_length: As in ``PromptTuning``.
        prompt_blocks: As in ``PromptTuning``.
        **features: As in ``FrozenFeatures``.
    """

    def __init__(
        self,
        encoder: dict,
        prompt_length: int = 10,
        prompt_blocks: Iterable[int] = (0,),
        **features: Any,
    ) -> None:
        tuning = dict(
            type='PromptTuning',
            prompt_length=prompt_length,
            prompt_blocks=prompt_blocks,
            prompt_location='after_cls',
        )
        super().__init__(encoder, tuning=tuning, **features)


@MODELS.register_module()
class GateVPTBackbone(FrozenFeatures):
    """``GatedPromptTuning``, with prompts between [CLS] and the patches.

    Args:
        encoder: As in ``AdaptedBackbone``.
        prompt_length: As in ``GatedPromptTuning``.
        initial_gate: As in ``GatedPromptTuning``.
        **features: As in ``FrozenFeatures``.
    """

    def __init__(
        self,
        encoder: dict,
        prompt_length: int = 10,
        initial_gate: float = 0.5,
        **features: Any,
    ) -> None:
        tuning = dict(
            type='GatedPromptTuning',
            prompt_length=prompt_length,
            initial_gate=initial_gate,
            prompt_location='after_cls',
        )
        super().__init__(encoder, tuning=tuning, **features)


@MODELS.register_module()
class LoRABackbone(FrozenFeatures):
    """``LoRATuning``, read as ``FrozenFeatures`` are.

    Args:
        encoder: As in ``AdaptedBackbone``.
        rank: As in ``LoRATuning``.
        alpha: As in ``LoRATuning``.
        **features: As in ``FrozenFeatures``.
    """

    def __init__(
        self,
        encoder: dict,
        rank: int = 4,
        alpha: float = 4.0,
        **features: Any,
    ) -> None:
        tuning = dict(type='LoRATuning', rank=rank, alpha=alpha)
        super().__init__(encoder, tuning=tuning, **features)


@MODELS.register_module()
class AdaptFormerBackbone(FrozenFeatures):
    """``AdaptFormerTuning``, read as ``FrozenFeatures`` are.

    Args:
        encoder: As in ``AdaptedBackbone``.
        bottleneck_dims: As in ``AdaptFormerTuning``.
        scale: As in ``AdaptFormerTuning``.
        **features: As in ``FrozenFeatures``.
    """

    def __init__(
        self,
        encoder: dict,
        bottleneck_dims: int = 64,
        scale: float = 0.1,
        **features: Any,
    ) -> None:
        tuning = dict(
            type='AdaptFormerTuning',
            bottleneck_dims=bottleneck_dims,
            scale=scale,
        )
        super().__init__(encoder, tuning=tuning, **features)


@MODELS.register_module()
class FineTunedBackbone(FrozenFeatures):
    """``FullTuning`` or ``BitFitTuning``, read as ``FrozenFeatures`` are.

    Args:
        encoder: As in ``AdaptedBackbone``.
        tuned: ``'all'`` for the former, ``'bias'`` for the latter.
        **features: As in ``FrozenFeatures``.

    Raises:
        ValueError: If ``tuned`` is neither, or as ``FrozenFeatures``.
    """

    def __init__(self, encoder: dict, tuned: str, **features: Any) -> None:
        if tuned not in (*TUNINGS,):
            raise ValueError(f'tuned={tuned!r} must be one of {(*TUNINGS,)}.')
        super().__init__(encoder, tuning=dict(type=TUNINGS[tuned]), **features)
