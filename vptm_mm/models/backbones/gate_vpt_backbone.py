"""Gated visual prompts on the frozen BEiT v2.

Symbols: B batch; N patches; P prompt tokens; C embedding width; D blocks;
S = 1 + P + N sequence length; g gate of a block.
"""

import math

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...nn import is_finite, is_whole
from .encoder_block import run_block
from .vpt_backbone import VPTBackbone


@MODELS.register_module()
class GateVPTBackbone(VPTBackbone):
    """Shallow prompts, and a gate for each block that may change them.

    `Improving Visual Prompt Tuning for Self-supervised Vision Transformers
    <https://arxiv.org/abs/2306.05067>`_: block i turns prompts p_i into q_i,
    and the next block gets p_{i+1} = g_i q_i + (1 - g_i) p_i, where the
    learnt gate g_i is the sigmoid of a number. With all gates at 1 this is
    VPT-shallow; with all at 0 each block gets the same prompts.

    Left out are the paper's learnt temperatures of the attention (adaptive
    attention shaping). The last block has no gate, as nothing reads its
    prompts.

    Args:
        encoder: As in ``VPTMBackbone``.
        prompt_length: Prompt tokens P.
        initial_gate: Value g of all gates before training.
        readout: As in ``FrozenFeatures``.
        pool_grid: As in ``FrozenFeatures``.
        init_cfg: As in ``VPTMBackbone``.

    Shape:
        As ``FrozenFeatures``.

    Raises:
        ValueError: If ``prompt_length`` is below 1, or ``initial_gate`` is
            not between 0 and 1.
    """

    def __init__(
        self,
        encoder: dict,
        prompt_length: int = 10,
        initial_gate: float = 0.5,
        readout: str = 'cls',
        pool_grid: int = 1,
        init_cfg: dict | None = None,
    ) -> None:
        if not is_whole(prompt_length) or prompt_length < 1:
            raise ValueError(
                f'prompt_length={prompt_length!r} must be a whole number >= '
                '1: a gate needs prompts; FrozenFeatures runs without them.'
            )
        if not is_finite(initial_gate) or not 0 < initial_gate < 1:
            raise ValueError(
                f'initial_gate={initial_gate!r} must be between 0 and 1; 0.5 '
                'leaves both ways open.'
            )
        super().__init__(
            encoder, prompt_length, (0,), readout, pool_grid, init_cfg
        )
        logit = math.log(initial_gate / (1 - initial_gate))
        self.gate_logits = nn.Parameter(
            torch.full((len(self.encoder.layers) - 1,), logit)
        )

    @property
    def prefix_depth(self) -> int:
        """None: prompts enter the first block."""
        return 0

    def _run_tuned_blocks(self, tokens: Tensor) -> Tensor:
        tokens = self.prompt_tokens(tokens, 0, start=1)  # (B, S, C)
        bias = self._prompted_bias()  # (h, S, S)
        end = 1 + self.prompt_tokens.length
        *gated_layers, last_layer = self.encoder.layers
        gates = self.gate_logits.sigmoid()  # (D - 1,)
        for layer, gate in zip(gated_layers, gates, strict=True):
            prompts = tokens[:, 1:end]  # (B, P, C)
            tokens = layer(tokens, rel_pos_bias=bias)
            prompts = gate * tokens[:, 1:end] + (1 - gate) * prompts
            tokens = torch.cat(
                [tokens[:, :1], prompts, tokens[:, end:]], dim=1
            )
        tokens = run_block(last_layer, tokens, bias, self._read(last_layer))
        return self._without_prompts(tokens)
