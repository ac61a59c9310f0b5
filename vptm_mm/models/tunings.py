"""What is learnt inside a frozen BEiT v2.

A tuning says which tokens it adds where and with which position bias, what it
does to a block, which parameters of the encoder it trains, and how many blocks
nothing of it reaches. Any tuning goes with any readout.

Symbols: B batch; S sequence length; P prompt tokens; C embedding width;
D blocks; g gate of a block.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.func import functional_call

from ..nn import (
    NO_MASKS,
    BottleneckAdapter,
    LowRankUpdate,
    MaskLayout,
    PromptTokens,
    TokenSequence,
    is_finite,
    require_int,
    require_list,
)
from .encoder import BlockSteps, FrozenEncoder

PROMPT_INITS = ('random', 'mask')
# Width of prompts around the mask token, as a share of the token's own.
NOISE = 0.3


class Tuning(nn.Module, BlockSteps):
    """Base class of what is learnt inside an encoder; it learns nothing.

    ``sequence`` says which token stands where, and ``prompt_tokens`` holds
    prompts, here none, of ``prompt_layout``; ``prefix_depth`` is the number
    of blocks, from the first on, that nothing tuned reaches.

    Args:
        encoder: The encoder.
        mask_layout: The [MASK]s that are read: how many along one side of the
            image, and their position bias; the readout says it.
        prompts: Length, location and position bias of prompts.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        mask_layout: MaskLayout = NO_MASKS,
        prompts: tuple[int, str, str] = (0, 'after_patches', 'zero'),
    ) -> None:
        super().__init__()
        self.prefix_depth = encoder.num_layers
        self.prompt_layout = prompts
        mask_grid, mask_bias = mask_layout
        self.sequence = TokenSequence(
            encoder.patch_resolution, mask_grid, mask_bias, *prompts
        )
        self.prompt_tokens = PromptTokens(
            encoder.embed_dims, 0, (), encoder.num_layers
        )


@MODELS.register_module()
class PromptTuning(Tuning):
    """Prompt tokens among those of the image.

    Visual Prompt Tuning <https://arxiv.org/abs/2203.12119>, section 3.2.

    Args:
        prompt_length: Prompt tokens P per prompted block; 0 for none.
        prompt_blocks: Blocks, counted from 0, at whose input prompts are
            inserted (the first one) or replaced (later ones): ``(0,)`` is
            shallow, ``range(D)`` deep, ``(8,)`` late.
        prompt_location: Where prompts stand in the sequence: ``'after_cls'``,
            ``'after_patches'`` or ``'after_mask'``. It cannot change the
            result: all prompts share one position bias.
        prompt_bias: Position bias of prompts: ``'zero'`` or ``'cls'``, the
            table's [CLS] entries.
        prompt_init: Where prompts start: ``'random'``, as wide as the mask
            token, or ``'mask'``, near the mask token, which the encoder knows.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        mask_layout: MaskLayout = NO_MASKS,
        prompt_length: int = 10,
        prompt_blocks: Iterable[int] = (0,),
        prompt_location: str = 'after_patches',
        prompt_bias: str = 'zero',
        prompt_init: str = 'random',
    ) -> None:
        if prompt_init not in PROMPT_INITS:
            raise ValueError(
                f'prompt_init={prompt_init!r} must be one of {PROMPT_INITS}.'
            )
        blocks = require_list('prompt_blocks', prompt_blocks)
        depth = encoder.num_layers
        prompt_tokens = PromptTokens(
            encoder.embed_dims, prompt_length, blocks, depth
        )
        prompts = (prompt_length, prompt_location, prompt_bias)
        super().__init__(encoder, mask_layout, prompts)
        self.prefix_depth = min(prompt_tokens.blocks, default=depth)
        self.prompt_tokens = prompt_tokens
        if encoder.is_pretrained and not encoder.mask_token.is_meta:
            mask_token = encoder.mask_token.float().flatten()  # (C,)
            std = mask_token.std().item()
            if prompt_init == 'random':
                self.prompt_tokens.reset_parameters(std)
            else:
                self.prompt_tokens.reset_parameters(NOISE * std, mask_token)

    def enter(self, tokens: Tensor, block: int) -> Tensor:
        """Put the prompts of a block among the tokens."""
        start = self.sequence.prompt_start
        return self.prompt_tokens(tokens, block, start)  # (B, S, C)


@MODELS.register_module()
class GatedPromptTuning(PromptTuning):
    """Shallow prompts, and a gate for each block that may change them.

    Improving Visual Prompt Tuning for Self-supervised Vision Transformers
    <https://arxiv.org/abs/2306.05067>: block i turns prompts p_i into q_i,
    and the next block gets p_{i+1} = g_i q_i + (1 - g_i) p_i, where the
    learnt gate g_i is the sigmoid of a number. With all gates at 1 this is
    shallow prompting; with all at 0 each block gets the same prompts.

    Left out are the paper's learnt temperatures of the attention (adaptive
    attention shaping). The last block has no gate, as nothing reads its
    prompts.

    Args:
        prompt_length: Prompt tokens P.
        initial_gate: Value g of all gates before training.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        mask_layout: MaskLayout = NO_MASKS,
        prompt_length: int = 10,
        initial_gate: float = 0.5,
        prompt_location: str = 'after_patches',
        prompt_bias: str = 'zero',
    ) -> None:
        hint = ': a gate needs prompts; FrozenFeatures runs without them'
        require_int('prompt_length', prompt_length, 1, hint=hint)
        if not is_finite(initial_gate) or not 0 < initial_gate < 1:
            raise ValueError(
                f'initial_gate={initial_gate!r} must be between 0 and 1; 0.5 '
                'leaves both ways open.'
            )
        super().__init__(
            encoder,
            mask_layout,
            prompt_length,
            (0,),
            prompt_location,
            prompt_bias,
        )
        logit = math.log(initial_gate / (1 - initial_gate))
        self.gate_logits = nn.Parameter(
            torch.full((encoder.num_layers - 1,), logit)
        )

    def leave(self, tokens: Tensor, before: Tensor, block: int) -> Tensor:
        """Mix the prompts of a block with those that entered it."""
        if block == len(self.gate_logits):
            return tokens
        gate = self.gate_logits[block].sigmoid()
        where = self.sequence.prompts
        mixed = gate * tokens[:, where] + (1 - gate) * before[:, where]
        return torch.cat(
            [tokens[:, : where.start], mixed, tokens[:, where.stop :]], dim=1
        )  # (B, S, C)


@MODELS.register_module()
class LoRATuning(Tuning):
    """Low-rank updates of the query and value weights of each block.

    LoRA <https://arxiv.org/abs/2106.09685>, section 4: W + (alpha / r) B A
    in place of W, for the query and the value of each block. No dropout on the
    updates. MMPretrain's ``LoRAModel`` replaces ``attn.qkv``, whose weight
    ``BEiTAttention`` reads; here each block runs with another weight instead,
    and its own stays what and where it is.

    Args:
        rank: Rank r of each update.
        alpha: Scale of the updates, divided by r.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        mask_layout: MaskLayout = NO_MASKS,
        rank: int = 4,
        alpha: float = 4.0,
    ) -> None:
        super().__init__(encoder, mask_layout)
        self.prefix_depth = 0
        width = encoder.embed_dims
        self.lora_q, self.lora_v = (
            nn.ModuleList(
                LowRankUpdate(width, width, rank, alpha)
                for _ in encoder.layers
            )
            for _ in ('q', 'v')
        )

    def attention(self, own: nn.Module, block: int) -> Callable[..., Tensor]:
        """Return the block's attention with updated weights."""
        query, value = self.lora_q[block](), self.lora_v[block]()  # (C, C)
        update = torch.cat([query, torch.zeros_like(query), value])  # (3C, C)
        weight: Tensor = own.get_parameter('qkv.weight')
        changed = {'qkv.weight': weight + update.to(weight.dtype)}
        return partial(_attend, own, changed)


def _attend(
    attention: nn.Module, changed: dict[str, Tensor], x: Tensor, **how: Any
) -> Tensor:
    """Run an attention with other weights than its own."""
    return functional_call(attention, changed, (x,), how)


@MODELS.register_module()
class AdaptFormerTuning(Tuning):
    """A bottleneck adapter beside the MLP of each block.

    AdaptFormer <https://arxiv.org/abs/2205.13535>, section 3.2:
    x + MLP(LN(x)) + s ReLU(LN(x) W_down) W_up, where LN is the frozen one of
    the block. BEiT scales its MLP by ``gamma_2``; the adapter, which the paper
    puts beside an MLP without such a scale, stays outside of it.

    Args:
        bottleneck_dims: Width of each bottleneck.
        scale: s.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        mask_layout: MaskLayout = NO_MASKS,
        bottleneck_dims: int = 64,
        scale: float = 0.1,
    ) -> None:
        super().__init__(encoder, mask_layout)
        self.prefix_depth = 0
        self.adapters = nn.ModuleList(
            BottleneckAdapter(encoder.embed_dims, bottleneck_dims, scale)
            for _ in encoder.layers
        )

    def branch(self, block: int) -> Callable[[Tensor], Tensor]:
        """Return the adapter of a block."""
        return self.adapters[block]


@MODELS.register_module()
class FullTuning(Tuning):
    """The encoder itself is tuned, after its weights were read strictly.

    The encoder follows ``train()``: its dropout and drop path act in training,
    at the rates of its config. Task files hold what is added to a frozen
    encoder, so there are none of it.
    """

    def __init__(
        self, encoder: FrozenEncoder, mask_layout: MaskLayout = NO_MASKS
    ) -> None:
        super().__init__(encoder, mask_layout)
        self.prefix_depth = 0
        if encoder.cls_token.dtype != torch.float32:
            raise ValueError(
                f'{type(self).__name__} trains tensors of the encoder, and '
                "dtype='bfloat16' would round what a step changes; use "
                "dtype='float32', with --amp for speed."
            )
        for name, parameter in encoder.named_parameters():
            # Without a [MASK] nothing reads its token.
            is_read = name != 'mask_token' or mask_layout[0] > 0
            parameter.requires_grad_(is_read and self.trains(name))

    def trains(self, name: str) -> bool:
        """Whether a parameter of the encoder is trained: all are."""
        return True


@MODELS.register_module()
class BitFitTuning(FullTuning):
    """The biases of the encoder are tuned.

    BitFit <https://arxiv.org/abs/2106.10199>, section 3: each bias of a
    linear layer or a LayerNorm, of the patch embedding and of query and value
    (BEiT's keys have none). The table of the relative position bias is not a
    bias in this sense: it is added to attention scores, and stays frozen.
    """

    def trains(self, name: str) -> bool:
        """Whether a parameter of the encoder is a bias."""
        # 'bias', 'q_bias', 'v_bias', but not the bias table.
        return name.endswith('bias')
