"""Attention is the host's; rollout is the product of its matrices."""

import pytest
import torch
from mmpretrain.models.utils import BEiTAttention

from vptm_mm.models import FrozenFeatures
from vptm_mm.visualization import (
    attention_maps,
    attention_rollout,
    attention_weights,
    recorded_attention,
)

from ..conftest import ENCODER, randomize

# N = 16 patches, D = 3 blocks.
PROMPTS = {
    'none': dict(prompt_length=0),
    'shallow': dict(prompt_length=3),
    'late': dict(prompt_length=3, prompt_blocks=(1,)),
    'deep': dict(prompt_length=3, prompt_blocks=(0, 1, 2)),
}


def finish(attention, weights, tokens):
    """What the host does after the softmax."""
    width = tokens.size(-1)
    value = tokens @ attention.qkv.weight[2 * width :].T
    if attention.bias == 'qv_bias':
        value = value + attention.v_bias
    elif attention.bias:
        value = value + attention.qkv.bias[2 * width :]
    value = value.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
    return attention.proj((weights @ value).transpose(1, 2).flatten(2))


@pytest.mark.parametrize('bias', ['qv_bias', True, False])
def test_weights_give_the_output_of_the_host(bias):
    attention = BEiTAttention(16, 2, None, False, bias=bias)
    randomize(attention)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, 7, 16, generator=generator)
    shared = torch.randn(2, 7, 7, generator=generator)
    for given in (None, shared):
        weights = attention_weights(attention, tokens, given)
        assert weights.shape == (2, 2, 7, 7)
        torch.testing.assert_close(
            finish(attention, weights, tokens),
            attention(tokens, rel_pos_bias=given),
        )


@pytest.mark.parametrize('prompts', PROMPTS)
def test_recorded_attention_of_a_backbone(build, images, prompts):
    backbone = build(mask_grid=2, **PROMPTS[prompts])
    seen = []
    handles = [
        layer.attn.register_forward_hook(
            lambda attention, args, out: seen.append((attention, args, out))
        )
        for layer in backbone.encoder.layers
    ]
    with recorded_attention(backbone.encoder) as weights:
        (with_hooks,) = backbone(images)
    for handle in handles:
        handle.remove()
    assert len(weights) == len(seen) == 3
    for weight, (attention, (tokens,), out) in zip(weights, seen, strict=True):
        finished = finish(attention, weight, tokens)
        if attention is backbone.encoder.layers[-1].attn:
            # Weights are those of all tokens, states those that are read.
            finished = finished[:, backbone.sequence.masks]
        torch.testing.assert_close(finished, out)
    (without,) = backbone(images)
    assert torch.equal(with_hooks, without)


def test_hooks_are_removed_after_an_error(build):
    backbone = build()
    with (
        pytest.raises(ValueError, match='input of shape'),
        recorded_attention(backbone.encoder),
    ):
        backbone(torch.zeros(1, 3, 8, 8))
    for layer in backbone.encoder.layers:
        assert not layer.attn._forward_pre_hooks


def expected_rollout(backbone, weights):
    """Every input is a token in every block; absent ones keep themselves."""
    prompts, sequence = backbone.prompt_tokens, backbone.sequence
    length, start = prompts.length, sequence.prompt_start
    plain = 1 + 16 + sequence.num_masks
    total = plain + length * len(prompts.blocks)
    product = torch.eye(total)
    for block, weight in enumerate(weights):
        entered = [b for b in prompts.blocks if b <= block]
        order = list(range(plain))
        if entered:
            first = plain + length * (len(entered) - 1)
            order[start:start] = range(first, first + length)
        step = torch.eye(total)
        rows = torch.tensor(order)
        mean = weight[0].mean(0)
        step[rows[:, None], rows] = (mean + torch.eye(len(order))) / 2
        product = step @ product
    return product[order]


@pytest.mark.parametrize('location', ['after_cls', 'after_mask'])
@pytest.mark.parametrize('prompts', PROMPTS)
def test_rollout(build, images, prompts, location):
    backbone = build(mask_grid=2, prompt_location=location, **PROMPTS[prompts])
    with torch.no_grad(), recorded_attention(backbone.encoder) as weights:
        backbone(images)
    rollout = attention_rollout(
        weights, backbone.prompt_tokens, backbone.sequence.prompt_start
    )
    torch.testing.assert_close(rollout.sum(-1), torch.ones(rollout.shape[:2]))
    torch.testing.assert_close(rollout[0], expected_rollout(backbone, weights))


@pytest.mark.parametrize('prompts', PROMPTS)
def test_maps(build, images, prompts):
    backbone = build(mask_grid=2, **PROMPTS[prompts])
    masks, others = attention_maps(backbone, images)
    length = backbone.prompt_tokens.length
    assert masks.patches.shape == (2, 4, 4, 16)
    assert masks.shares.shape == (2, 4, 4, 4)
    assert others.patches.shape == (2, 4, length, 16)
    # Nothing is looked at but the four kinds of tokens.
    torch.testing.assert_close(masks.shares.sum(-1), torch.ones(2, 4, 4))
    torch.testing.assert_close(masks.patches.sum(-1), masks.shares[..., 1])
    absent = others.shares.isnan()
    assert not absent[:, 1:].any()
    if length:
        late = torch.full_like(absent[:, 0], prompts == 'late')
        assert torch.equal(absent[:, 0], late)
    if prompts in ('none', 'late'):
        assert not masks.shares[:, 0, :, 3].any()


def test_maps_do_not_depend_on_the_location_of_prompts(build, images):
    """A mistake in the positions of any kind of token would show here."""
    first, *rest = (
        attention_maps(
            build(mask_grid=2, prompt_blocks=(1, 2), prompt_location=location),
            images,
        )
        for location in ('after_cls', 'after_patches', 'after_mask')
    )
    for found in rest:
        for one, other in zip(first, found, strict=True):
            for name in ('patches', 'shares'):
                torch.testing.assert_close(
                    getattr(one, name), getattr(other, name), equal_nan=True
                )


def test_a_backbone_without_masks_is_refused(checkpoint, images):
    probe = FrozenFeatures(
        ENCODER, init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint))
    )
    with pytest.raises(ValueError, match='FrozenFeatures adds no .MASK.'):
        attention_maps(probe, images)
