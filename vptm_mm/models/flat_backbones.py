"""VPTM and its baselines by flat arguments: a tuning with a readout.

Each puts parts together that ``AdaptedBackbone`` takes by config; arguments
are those of the parts.
"""

from collections.abc import Iterable
from typing import Any

from mmpretrain.registry import MODELS

from .backbone import AdaptedBackbone

TUNINGS = {'all': 'FullTuning', 'bias': 'BitFitTuning'}


@MODELS.register_module()
class VPTMBackbone(AdaptedBackbone):
    """A frozen BEiT v2 that predicts the visual token of an added [MASK].

    VPTM <https://arxiv.org/abs/2303.04998>: learnable prompts and [MASK]
    tokens join the patches, the frozen blocks run, and the state at [MASK],
    after the final norm of the pre-training, is what the pre-trained token
    predictor reads. Only the prompts are trained. It is ``PromptTuning`` with
    ``MaskReadout``.

    Args:
        encoder: As in ``AdaptedBackbone``.
        prompt_length: As in ``PromptTuning``, like the next four.
        prompt_blocks: Blocks with prompts.
        prompt_location: Where prompts stand in the sequence.
        prompt_bias: Their position bias.
        prompt_init: Where they start.
        mask_bias: As in ``MaskReadout``, like the next two.
        mask_grid: Masks along one side.
        visual_token: What represents the predicted visual token.
        num_visual_tokens: Visual tokens V of the token predictor; read with
            ``visual_token='logits'`` only.
        **options: As in ``AdaptedBackbone``.

    Example:
        >>> backbone = VPTMBackbone(
        ...     encoder=dict(type='BEiTPretrainViT', arch='base'),
        ...     init_cfg=dict(type='Pretrained', checkpoint='beitv2.pth'),
        ... )
        >>> (hidden,) = backbone(torch.rand(2, 3, 224, 224))
        >>> hidden.shape
        torch.Size([2, 768])
    """

    def __init__(
        self,
        encoder: dict,
        prompt_length: int = 10,
        prompt_blocks: Iterable[int] = (0,),
        prompt_location: str = 'after_patches',
        prompt_bias: str = 'zero',
        prompt_init: str = 'random',
        mask_bias: str = 'grid',
        mask_grid: int = 1,
        visual_token: str = 'hidden',
        num_visual_tokens: int = 8192,
        **options: Any,
    ) -> None:
        super().__init__(
            encoder,
            dict(
                type='MaskReadout',
                mask_grid=mask_grid,
                mask_bias=mask_bias,
                visual_token=visual_token,
            ),
            dict(
                type='PromptTuning',
                prompt_length=prompt_length,
                prompt_blocks=prompt_blocks,
                prompt_location=prompt_location,
                prompt_bias=prompt_bias,
                prompt_init=prompt_init,
            ),
            num_visual_tokens if visual_token == 'logits' else None,
            **options,
        )


@MODELS.register_module()
class BlockFeatures(AdaptedBackbone):
    """States of the patches after one block: ``BlockReadout``.

    A teacher for the tokenizer of the next round of pre-training: middle
    blocks hold more of what an image shows than the last one, which has to
    predict tokens.
    """

    def __init__(self, encoder: dict, block: int, **options: Any) -> None:
        readout = dict(type='BlockReadout', block=block)
        super().__init__(encoder, readout, **options)


@MODELS.register_module()
class FrozenFeatures(AdaptedBackbone):
    """Features of a frozen BEiT v2, as a linear probe reads them.

    Args:
        encoder: As in ``AdaptedBackbone``.
        readout: ``'cls'``, the state of [CLS], or ``'patches'``, the averaged
            states of the patches; both after the final norm.
        pool_grid: As in ``PatchReadout``; 1 with ``readout='cls'``.
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
    """``PromptTuning``, with prompts between [CLS] and the patches."""

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
    """``GatedPromptTuning``, with prompts between [CLS] and the patches."""

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
    """``LoRATuning``, read as ``FrozenFeatures`` are."""

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
    """``AdaptFormerTuning``, read as ``FrozenFeatures`` are."""

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
    """

    def __init__(self, encoder: dict, tuned: str, **features: Any) -> None:
        if tuned not in (*TUNINGS,):
            raise ValueError(f'tuned={tuned!r} must be one of {(*TUNINGS,)}.')
        super().__init__(encoder, tuning=dict(type=TUNINGS[tuned]), **features)
