"""Other implementations of the blocks, on the sequence of a backbone of ours.

Symbols: B batch; S sequence length; C embedding width; h heads.
"""

import functools
import importlib.util
from typing import Any

from mmpretrain.models.backbones.beit import BEiTTransformerEncoderLayer
from torch import Tensor, nn

from vptm_mm.models import VPTMBackbone
from vptm_mm.nn import freeze

PEERS = ('timm', 'transformers')


def installed_peers() -> list[str]:
    """Return which of the optional peers can be imported."""
    return [name for name in PEERS if importlib.util.find_spec(name)]


class BlockSequence(nn.Module):
    """Blocks of any implementation on the sequence of a backbone of ours.

    Args:
        backbone: Brings embedding, prompts, position bias and final norm; its
            prompts enter the first block.
        blocks: Each called with states, ``(B, S, C)``, and a bias.
        whole_bias: Whether the bias is ``(1, h, S, S)``, not ``(h, S, S)``.

    Shape:
        As ``VPTMBackbone``.
    """

    def __init__(
        self, backbone: VPTMBackbone, blocks: list[nn.Module], whole_bias: bool
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.blocks = nn.ModuleList(blocks)
        self.whole_bias = whole_bias
        freeze(self.blocks)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        encoder, sequence = self.backbone.encoder, self.backbone.sequence
        tokens = self.backbone.run_prefix(x)
        tokens = self.backbone.tuning.enter(tokens, 0)
        table = encoder.rel_pos_bias.relative_position_bias_table
        bias = sequence.prompted_bias(table)  # (h, S, S)
        bias = bias[None] if self.whole_bias else bias
        for block in self.blocks:
            tokens = block(tokens, bias)
        return (encoder.ln1(tokens[:, sequence.masks]).flatten(1),)


class StockBlock(nn.Module):
    """A block of MMPretrain, called with the bias as second argument."""

    def __init__(self, layer: BEiTTransformerEncoderLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        return self.layer(tokens, rel_pos_bias=bias)


def make_peer(name: str, plain: VPTMBackbone) -> BlockSequence:
    """Return a peer with the weights of a backbone.

    Args:
        name: ``'mmpretrain'``, ``'timm'`` or ``'transformers'``.
        plain: A backbone without speed-ups: its blocks are the host's.

    Raises:
        RuntimeError: If its weights do not fit another version of the peer.
    """
    make_block = dict(
        mmpretrain=StockBlock, timm=_timm_block, transformers=_hf_block
    )[name]
    blocks = [
        make_block(layer).to(layer.ln1.weight.dtype)
        for layer in plain.encoder.layers
    ]
    return BlockSequence(plain, blocks, whole_bias=name != 'mmpretrain')


def _timm_block(layer: BEiTTransformerEncoderLayer) -> nn.Module:
    from timm.models.beit import Block

    # Their types say less than they take.
    options: dict[str, Any] = dict(
        qkv_bias=True,
        init_values=0.1,
        norm_layer=functools.partial(nn.LayerNorm, eps=layer.ln1.eps),
    )
    block = Block(layer.attn.embed_dims, layer.attn.num_heads, **options)
    names = {
        'ffn.layers.0.0': 'mlp.fc1',
        'ffn.layers.1': 'mlp.fc2',
        'ln': 'norm',
    }
    return _load_block(block, layer.state_dict(), names)


def _hf_block(layer: BEiTTransformerEncoderLayer) -> nn.Module:
    from transformers import BeitConfig
    from transformers.models.beit.modeling_beit import BeitLayer

    options: dict[str, Any] = dict(
        hidden_size=layer.attn.embed_dims,
        num_attention_heads=layer.attn.num_heads,
        intermediate_size=layer.ffn.layers[0][0].out_features,
        layer_norm_eps=layer.ln1.eps,
        attn_implementation='sdpa',
    )
    config = BeitConfig(**options)
    state = layer.state_dict()
    weights = state.pop('attn.qkv.weight').chunk(3)
    for name, weight in zip('qkv', weights, strict=True):
        state[f'attn.{name}_proj.weight'] = weight
    names = {
        'ffn.layers.0.0': 'mlp.fc1',
        'ffn.layers.1': 'mlp.fc2',
        'ln1': 'layernorm_before',
        'ln2': 'layernorm_after',
        'gamma': 'lambda',
        'attn.q_bias': 'attn.q_proj.bias',
        'attn.v_bias': 'attn.v_proj.bias',
        'attn.proj': 'attn.o_proj',
        'attn': 'attention',
    }
    return _load_block(BeitLayer(config), state, names)


def _load_block(
    block: nn.Module, state: dict[str, Tensor], names: dict[str, str]
) -> nn.Module:
    """Give a block the host's weights under its own names."""
    renamed = {}
    for name, tensor in state.items():
        for host, other in names.items():
            name = name.replace(host, other)
        renamed[name] = tensor
    left = block.load_state_dict(renamed, strict=False)
    if left.unexpected_keys or left.missing_keys:
        raise RuntimeError(f'weights do not fit: {left}; another version?')
    return block
