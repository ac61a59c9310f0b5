"""Visual prompt tuning of the frozen BEiT v2."""

from collections.abc import Iterable

from mmpretrain.registry import MODELS

from ..encoder import SPEEDUPS
from .adapted_backbone import AdaptedBackbone, plain_readout


@MODELS.register_module()
class VPTBackbone(AdaptedBackbone):
    """``PromptTuning``, read where a linear probe reads.

    Prompts stand between [CLS] and the patches.

    Args:
        encoder: As in ``AdaptedBackbone``.
        prompt_length: As in ``PromptTuning``.
        prompt_blocks: As in ``PromptTuning``.
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
        prompt_blocks: Iterable[int] = (0,),
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
                type='PromptTuning',
                prompt_length=prompt_length,
                prompt_blocks=prompt_blocks,
                prompt_location='after_cls',
            ),
            init_cfg=init_cfg,
            speedups=speedups,
            dtype=dtype,
        )
