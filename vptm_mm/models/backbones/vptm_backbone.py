"""The frozen BEiT v2 with prompts and an added [MASK]."""

from collections.abc import Iterable

from mmpretrain.registry import MODELS

from ..encoder import SPEEDUPS
from .adapted_backbone import AdaptedBackbone


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
        prompt_length: As in ``PromptTuning``.
        prompt_blocks: As in ``PromptTuning``.
        prompt_location: As in ``PromptTuning``.
        prompt_bias: As in ``PromptTuning``.
        mask_bias: As in ``MaskReadout``.
        mask_grid: As in ``MaskReadout``.
        visual_token: As in ``MaskReadout``.
        num_visual_tokens: Visual tokens V of the token predictor; read with
            ``visual_token='logits'`` only.
        init_cfg: As in ``AdaptedBackbone``.
        speedups: As in ``AdaptedBackbone``.
        dtype: As in ``AdaptedBackbone``.
        with_cp: As in ``AdaptedBackbone``.

    Raises:
        As ``AdaptedBackbone``, ``PromptTuning`` and ``MaskReadout``.

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
        mask_bias: str = 'grid',
        mask_grid: int = 1,
        visual_token: str = 'hidden',
        num_visual_tokens: int = 8192,
        init_cfg: dict | None = None,
        speedups: Iterable[str] = SPEEDUPS,
        dtype: str = 'float32',
        with_cp: bool = False,
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
            ),
            num_visual_tokens if visual_token == 'logits' else None,
            init_cfg,
            speedups,
            dtype,
            with_cp,
        )
