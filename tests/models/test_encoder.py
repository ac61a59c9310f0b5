"""The frozen encoder by itself: weights, identity, its one loop."""

import copy

import pytest
import torch

from vptm_mm.models.encoder import SPEEDUPS, BlockSteps, FrozenEncoder
from vptm_mm.weights.identity import Identity

from ..conftest import ENCODER, NUM_VISUAL_TOKENS


@pytest.fixture
def encode(checkpoint):
    """Build an encoder on the tiny checkpoint."""

    def _encode(**options) -> FrozenEncoder:
        options.setdefault('encoder', ENCODER)
        options.setdefault(
            'init_cfg', dict(type='Pretrained', checkpoint=str(checkpoint))
        )
        return FrozenEncoder(**options)

    return _encode


def test_equals_the_host(encode, pretraining_model, images):
    mask = torch.arange(32).view(2, 4, 4) % 3 == 0
    latent = pretraining_model.backbone(images, mask.long())
    expected = pretraining_model.neck.norm(latent[1])
    for speedups in (SPEEDUPS, ()):
        states = encode(speedups=speedups)(images, mask)
        torch.testing.assert_close(states, expected, atol=1e-5, rtol=1e-5)


def test_blocks_in_parts_are_the_whole(encode, images):
    encoder = encode()
    bias = encoder.rel_pos_bias()
    tokens = encoder.embed(images)
    whole = encoder.run(tokens, bias, needed=slice(1, 3))
    assert whole.shape == (2, 2, 16)
    half = encoder.run(tokens, bias, range(2))
    assert half.shape == (2, 17, 16)
    assert encoder.run(half, bias, (2,), slice(1, 3)).equal(whole)
    plain = encode(speedups=()).run(tokens, bias, needed=slice(1, 3))
    torch.testing.assert_close(whole, plain)


class Seen(BlockSteps):
    """Writes down what happens at each block, and what it sees."""

    def __init__(self):
        self.names = []

    def enter(self, tokens, block):
        self.names.append(f'enter {block} with {tokens.size(1)}')
        return torch.cat([tokens, tokens[:, :1]], 1)

    def attention(self, own, block):
        self.names.append(f'attention {block}')
        return own

    def branch(self, block):
        return torch.zeros_like if block else torch.ones_like

    def leave(self, tokens, before, block):
        self.names.append(f'leave {block}')
        return tokens if block else before


def test_steps_are_taken_at_each_block(encode, images):
    encoder, seen = encode(), Seen()
    tokens = encoder.embed(images)

    def bias(block):
        seen.names.append(f'bias {block}')
        return torch.zeros(2, 18 + block, 18 + block)

    out = encoder.run(tokens, bias, range(2), steps=seen)
    per_block = ('enter {} with {}', 'bias {}', 'attention {}', 'leave {}')
    assert seen.names == [
        name.format(block, 17 + block)
        for block in (0, 1)
        for name in per_block
    ]
    # The first block was left as it was entered.
    entered = torch.cat([tokens, tokens[:, :1], tokens[:, :1]], 1)
    assert out.equal(encoder.run(entered, torch.zeros(2, 19, 19), (1,)))


def test_the_branch_is_added(encode, images):
    encoder = encode()
    seen = Seen()
    seen.leave = lambda tokens, before, block: tokens
    bias = torch.zeros(2, 18, 18)
    out = encoder.run(encoder.embed(images), bias, (0,), steps=seen)
    entered = seen.enter(encoder.embed(images), 0)
    torch.testing.assert_close(out, encoder.run(entered, bias, (0,)) + 1)


def test_the_identity_is_that_of_tensors_and_configuration(encode):
    encoder = encode(num_visual_tokens=NUM_VISUAL_TOKENS)
    plain = encode()
    assert plain.identity == encoder.identity_with(predictor=False)
    assert plain.identity.sha256 != encoder.identity.sha256
    assert encode(dtype='bfloat16').identity == plain.identity
    again = Identity.from_tensors(*plain.identity.to_tensors().values())
    assert again == plain.identity
    plain.require(again)
    other = copy.deepcopy(plain)
    other.load_state_dict({k: v + 1 for k, v in other.state_dict().items()})
    with pytest.raises(ValueError, match='frozen tensors of sha256'):
        other.require(again)
    gelu = dict(ENCODER, layer_cfgs=dict(act_cfg=dict(type='ReLU')))
    with pytest.raises(
        ValueError, match=r'layers\.0\.ffn\.layers\.0\.1: GELU.*ReLU'
    ):
        encode(encoder=gelu).require(again)
    plain.ln1.weight.requires_grad_()
    assert plain.identity is None
    with pytest.raises(ValueError, match='or tunes them'):
        plain.require(again)
    with pytest.raises(ValueError, match='has no pre-trained weights, or'):
        encode(init_cfg=None).require(again)


@pytest.mark.parametrize(
    ('sha256', 'settings', 'message'),
    [
        (torch.zeros(3), None, 'must be the 32 bytes'),
        (
            torch.zeros(32, dtype=torch.uint8),
            torch.ones(2, dtype=torch.uint8),
            'a JSON object in bytes',
        ),
    ],
)
def test_a_damaged_identity(sha256, settings, message):
    with pytest.raises(ValueError, match=message):
        Identity.from_tensors(sha256, settings)


def test_a_state_with_an_identity_keeps_the_tensors(encode, images):
    encoder = encode()
    (expected, identity) = encoder(images), encoder.identity
    result = encoder.load_state_dict(identity.to_tensors())
    assert not result.missing_keys
    assert not result.unexpected_keys
    assert encoder(images).equal(expected)


def test_frozen_parts_stay_in_eval_and_trained_ones_follow(encode):
    encoder = encode()
    assert not encoder.train().training
    encoder.layers[0].ln1.weight.requires_grad_()
    assert encoder.train().training
    assert not encoder.eval().training


def test_a_retired_speed_up_is_taken(encode):
    speedups = ('fused_attention', 'lean_first_block')
    assert encode(speedups=speedups).speedups == ('fused_attention',)


def test_hooks_on_a_block_see_what_leaves_it(encode, images):
    encoder, seen = encode(), []
    encoder.layers[1].register_forward_hook(lambda *args: seen.append(args[2]))
    bias = encoder.rel_pos_bias()
    tokens = encoder.run(encoder.embed(images), bias, range(2))
    assert len(seen) == 1
    assert seen[0].equal(tokens)
