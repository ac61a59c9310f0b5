"""Visual prompt tuning of the frozen BEiT v2.

Symbols: B batch; N patches; P prompt tokens; C embedding width; h heads;
S = 1 + P + N sequence length.
"""

from collections.abc import Iterable

import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from ...nn import CLS, PLACED, ZERO, PaddedPositionBias, grid_places
from .encoder_block import run_block
from .frozen_features import FrozenFeatures


@MODELS.register_module()
class VPTBackbone(FrozenFeatures):
    """The frozen BEiT v2 with prompts, read where a linear probe reads it.

    `Visual Prompt Tuning <https://arxiv.org/abs/2203.12119>`_, section 3.2:
    prompts stand between [CLS] and the patches. As in ``VPTMBackbone`` their
    position bias is 0, and they start as wide as the mask token.

    Args:
        encoder: As in ``VPTMBackbone``.
        prompt_length: Prompt tokens P per prompted block; 0 for none.
        prompt_blocks: Blocks, counted from 0, at whose input prompts are
            inserted (the first one) or replaced (later ones): ``(0,)`` is
            VPT-shallow, ``range(D)`` VPT-deep.
        readout: As in ``FrozenFeatures``.
        pool_grid: As in ``FrozenFeatures``.
        init_cfg: As in ``VPTMBackbone``.

    Shape:
        As ``FrozenFeatures``.

    Raises:
        ValueError: If an option is out of range.
        TypeError: If ``prompt_blocks`` is no list, or ``encoder`` no dict.
    """

    def __init__(
        self,
        encoder: dict,
        prompt_length: int = 10,
        prompt_blocks: Iterable[int] = (0,),
        readout: str = 'cls',
        pool_grid: int = 1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(encoder, readout, pool_grid, init_cfg)
        self.prompt_tokens = self._build_prompts(prompt_length, prompt_blocks)
        if self.is_pretrained:
            self.prompt_tokens.reset_parameters(
                std=self.encoder.mask_token.std().item()
            )
        grid_size = self.encoder.patch_resolution
        patches = grid_places(grid_size, grid_size)
        kinds = [CLS] + [ZERO] * prompt_length + [PLACED] * len(patches)
        nowhere = torch.zeros(1 + prompt_length, 2)
        self.prompted_bias = PaddedPositionBias(
            grid_size, torch.tensor(kinds), torch.cat([nowhere, patches])
        )

    @property
    def prefix_depth(self) -> int:
        """Blocks before the first prompts; all without prompts."""
        return min(self.prompt_tokens.blocks, default=super().prefix_depth)

    def _run_tuned_blocks(self, tokens: Tensor) -> Tensor:
        start = self.prefix_depth
        bias = self._prompted_bias()  # (h, S, S)
        prompts = slice(1, 1 + self.prompt_tokens.length)
        tuned = self._tuned_in(tokens, prompts)
        for block, layer in enumerate(
            list(self.encoder.layers)[start:], start
        ):
            tokens = self.prompt_tokens(tokens, block, start=1)
            tokens = run_block(
                layer, tokens, bias, self._read(layer), tuned=tuned
            )
            tuned = None
        return self._without_prompts(tokens)

    def _prompted_bias(self) -> Tensor:
        table = self.encoder.rel_pos_bias.relative_position_bias_table
        return self.prompted_bias(table)

    def _without_prompts(self, tokens: Tensor) -> Tensor:
        length = self.prompt_tokens.length
        return torch.cat([tokens[:, :1], tokens[:, 1 + length :]], dim=1)
