"""The frozen BEiT v2 with prompts and an added [MASK].

Symbols: B batch; H, W rows and columns of patches, N = H * W of them; P prompt
tokens; g masks along one side, M = g * g of them; C embedding width;
S = 1 + N + P + M sequence length; D blocks; V visual tokens.
"""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...nn import TokenSequence, is_whole
from .encoder_block import run_block
from .frozen_beit import SPEEDUPS, FrozenBEiT

VISUAL_TOKENS = ('hidden', 'logits')


@MODELS.register_module()
class VPTMBackbone(FrozenBEiT):
    """A frozen BEiT v2 that predicts the visual token of an added [MASK].

    `VPTM <https://arxiv.org/abs/2303.04998>`_: learnable prompts and [MASK]
    tokens join the patches, the frozen blocks run, and the state at [MASK],
    after the final norm of the pre-training, is what the pre-trained token
    predictor reads. Only the prompts are trained.

    Pre-trained weights are read when the backbone is built, strictly; without
    them it refuses to run.

    Args:
        encoder: Config of MMPretrain's ``BEiTPretrainViT``, or of ``BEiTViT``
            with a shared relative position bias.
        prompt_length: Prompt tokens P per prompted block; 0 for none.
        prompt_blocks: Blocks, counted from 0, at whose input prompts are
            inserted (the first one) or replaced (later ones): ``(0,)`` is
            shallow, ``range(D)`` deep, ``(8,)`` late.
        prompt_location: Where prompts stand in the sequence: ``'after_cls'``,
            ``'after_patches'`` or ``'after_mask'``. It cannot change the
            result: all prompts share one position bias.
        prompt_bias: Position bias of prompts: ``'zero'`` or ``'cls'``, the
            table's [CLS] entries.
        mask_bias: Position bias of [MASK]: ``'grid'`` gives it a place in the
            image, ``'zero'`` and ``'cls'`` do not.
        mask_grid: Masks g along one side: g x g [MASK] tokens at the centres
            of the cells of a grid over the image.
        visual_token: What represents the predicted visual token:
            ``'hidden'``, the state at [MASK], or ``'logits'``, the
            log-probabilities of the V visual tokens.
        num_visual_tokens: Visual tokens V of the token predictor; read with
            ``visual_token='logits'`` only.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``: a path, a
            ``file://``, ``http(s)://`` or ``vptm_mm://`` address. None if
            ``load_state_dict`` brings the weights.
        speedups: As in ``FrozenBEiT``; all are on by default, ``()`` is the
            host's plain computation.
        dtype: As in ``FrozenBEiT``; what is tuned and what comes out stay
            ``float32``.
        with_cp: Whether training keeps the input of each prompted block only,
            and computes the block again for its gradient.

    Shape:
        - Input: ``(B, in_channels, img_size, img_size)``, or the states of
          ``run_prefix``
        - Output: a tuple of one ``(B, M * C)`` tensor, or ``(B, M * V)``
          with ``visual_token='logits'``

    Raises:
        ValueError: If an option is out of range, the encoder does not fit,
            the checkpoint does not fit, or an image has another shape.
        FileNotFoundError: If the checkpoint is not there.
        TypeError: If ``prompt_blocks`` is no list, or ``encoder`` no dict.
        RuntimeError: If it runs without pre-trained weights.

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
        if visual_token not in VISUAL_TOKENS:
            raise ValueError(
                f'visual_token={visual_token!r} must be one of '
                f'{VISUAL_TOKENS}.'
            )
        if visual_token == 'logits' and not (
            is_whole(num_visual_tokens) and num_visual_tokens >= 1
        ):
            raise ValueError(
                f'num_visual_tokens={num_visual_tokens!r} must be a whole '
                "number >= 1 with visual_token='logits'."
            )
        if not isinstance(with_cp, bool):
            raise ValueError(f'with_cp={with_cp!r} must be True or False.')
        super().__init__(
            encoder,
            num_visual_tokens if visual_token == 'logits' else None,
            init_cfg,
            speedups,
            dtype,
        )
        self.with_cp = with_cp
        self.prompt_tokens = self._build_prompts(prompt_length, prompt_blocks)
        self.sequence = TokenSequence(
            self.encoder.patch_resolution,
            mask_grid,
            mask_bias,
            prompt_length,
            prompt_location,
            prompt_bias,
        )
        self._load_pretrained(init_cfg)
        if self.is_pretrained:
            self.prompt_tokens.reset_parameters(
                std=self.encoder.mask_token.float().std().item()
            )

    @property
    def out_channels(self) -> int:
        """Width of the output: the ``in_channels`` of a head."""
        width = self.encoder.embed_dims
        if self.token_predictor is not None:
            width = self.token_predictor.out_features
        return self.sequence.num_masks * width

    @property
    def prefix_depth(self) -> int:
        """Blocks before the first prompts; all D without prompts."""
        depth = len(self.encoder.layers)
        return min(self.prompt_tokens.blocks, default=depth)

    def _plain_tokens(self, x: Tensor) -> Tensor:
        mask_tokens = self.encoder.mask_token.expand(
            x.size(0), self.sequence.num_masks, -1
        )
        return torch.cat([self._embed(x), mask_tokens], dim=1)

    def _plain_bias(self) -> Tensor:
        table = self.encoder.rel_pos_bias.relative_position_bias_table
        return self.sequence.plain_bias(table)  # (h, S - P, S - P)

    def _read(self, layer: nn.Module) -> slice | None:
        return self._read_in(layer, self.sequence.masks)

    def _run_prompted_blocks(self, tokens: Tensor) -> Tensor:
        start = self.prefix_depth
        if start == len(self.encoder.layers):
            return tokens
        table = self.encoder.rel_pos_bias.relative_position_bias_table
        bias = self.sequence.prompted_bias(table)  # (h, S, S)
        tuned = self._tuned_in(tokens, self.sequence.prompts)
        for block, layer in enumerate(
            list(self.encoder.layers)[start:], start
        ):
            tokens = self.prompt_tokens(
                tokens, block, self.sequence.prompt_start
            )
            run: Callable[..., Tensor] = run_block
            if self.with_cp and tokens.requires_grad:
                run = partial(checkpoint, run_block, use_reentrant=False)
            tokens = run(layer, tokens, bias, self._read(layer), tuned=tuned)
            tuned = None
        return tokens  # (B, S, C)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        tokens = self._run_prompted_blocks(self._prefix_of(x))
        if tokens.size(1) > self.sequence.num_masks:
            tokens = tokens[:, self.sequence.masks]
        hidden = self.encoder.norm1(tokens)  # (B, M, C)
        if self.token_predictor is not None:
            logits = self.token_predictor(hidden)  # (B, M, V)
            return (logits.float().log_softmax(-1).flatten(1),)
        hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
        return (hidden.flatten(1),)  # (B, M * C)
