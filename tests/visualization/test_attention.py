"""Attention is the host's; rollout is the product of its matrices.

Then rows, columns and scales of the pictures of both.
"""

import numpy as np
import pytest
import torch
from mmpretrain.models.utils import BEiTAttention

from vptm_mm.models import AdaptedBackbone
from vptm_mm.tasks import VPTMTaskPool
from vptm_mm.tasks.pool import PreparedImage
from vptm_mm.visualization.attention import (
    attention_maps,
    attention_rollout,
    attention_weights,
    mask_attention,
    overlay_attention,
    plot_attention,
    plot_shares,
    recorded_attention,
)

from ..conftest import ENCODER, randomize
from ..made_tasks import make_classifier, task_of

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


def expected_rollout(backbone, weights):
    """Every input is a token in every block; absent ones keep themselves."""
    prompts, sequence = backbone.tuning.prompt_tokens, backbone.sequence
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
        weights, backbone.tuning.prompt_tokens, backbone.sequence.prompt_start
    )
    torch.testing.assert_close(rollout.sum(-1), torch.ones(rollout.shape[:2]))
    torch.testing.assert_close(rollout[0], expected_rollout(backbone, weights))


@pytest.mark.parametrize('prompts', PROMPTS)
def test_maps(build, images, prompts):
    backbone = build(mask_grid=2, **PROMPTS[prompts])
    masks, others = attention_maps(backbone, images)
    length = backbone.tuning.prompt_tokens.length
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


def test_masks_of_another_tuning(checkpoint, images):
    """Low-rank updates read at [MASK]: their attention, no prompts."""
    backbone = AdaptedBackbone(
        ENCODER,
        tuning=dict(type='LoRATuning'),
        readout=dict(type='MaskReadout', mask_grid=2),
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
    )
    before, prompts = attention_maps(backbone, images)
    assert before.patches.shape == (2, 4, 4, 16)
    assert prompts.patches.shape == (2, 4, 0, 16)
    torch.testing.assert_close(before.shares.sum(-1), torch.ones(2, 4, 4))
    for update in backbone.tuning.lora_q:
        torch.nn.init.normal_(update.up)
    after, _ = attention_maps(backbone, images)
    assert (
        (after.patches - before.patches).abs().amax((0, 2, 3)).gt(1e-3).all()
    )


def plotted(backbone, images):
    masks, prompts = attention_maps(backbone, images)
    figure = plot_attention(
        np.zeros((16, 16, 3)),
        masks.patches[0],
        prompts.patches[0],
        backbone.sequence.mask_places,
        'title',
    )
    return figure, masks, prompts


@pytest.mark.parametrize(
    ('options', 'rows'),
    [
        (dict(prompt_length=0), ['[MASK]']),
        (
            dict(prompt_length=1, mask_grid=2),
            [*(f'[MASK] {i}' for i in range(4)), 'prompt 0'],
        ),
        (
            dict(prompt_length=14, mask_grid=4),
            ['16\n[MASK]s', *(f'prompt {i}' for i in range(12))],
        ),
    ],
)
def test_a_row_for_each_token(build, images, options, rows):
    figure, _, _ = plotted(build(**options), images)
    # An image, three blocks, the rollout; then two colour bars.
    panels, bars = figure.axes[:-2], figure.axes[-2:]
    assert [ax.get_ylabel() for ax in panels[::5]] == rows
    heads = ['image', 'block 0', 'block 1', 'block 2', 'rollout']
    assert [ax.get_title() for ax in panels[:5]] == heads
    assert 'share of the attention' in bars[0].get_xlabel()


@pytest.mark.parametrize('mask_bias', ['grid', 'zero'])
def test_a_ring_where_the_mask_stands(build, images, mask_bias):
    backbone = build(prompt_length=1, mask_bias=mask_bias, mask_grid=2)
    figure, _, _ = plotted(backbone, images)
    rings = [ax.lines for ax in figure.axes[:25:5]]
    assert [len(lines) for lines in rings] == (
        [1, 1, 1, 1, 0] if mask_bias == 'grid' else [0] * 5
    )
    if mask_bias == 'grid':  # [MASK] 1 is top right
        assert rings[1][0].get_xydata().tolist() == [[0.75, 0.25]]


def test_a_late_prompt_has_not_entered_at_first(build, images):
    backbone = build(prompt_length=1, prompt_blocks=(2,))
    figure, _, _ = plotted(backbone, images)
    texts = [''.join(t.get_text() for t in ax.texts) for ax in figure.axes]
    assert texts[5:10] == ['', 'not yet\nentered', 'not yet\nentered', '', '']


@pytest.mark.parametrize('length', [0, 3])
def test_shares_add_up(build, images, length):
    backbone = build(prompt_length=length)
    shares = [maps.shares for maps in attention_maps(backbone, images)]
    figure = plot_shares(*shares, 'title')
    assert len(figure.axes) == (2 if length else 1)
    bars = figure.axes[0].patches
    tops = [bar.get_y() + bar.get_height() for bar in bars]
    # Four kinds of tokens, four steps each.
    assert tops[-4:] == pytest.approx([100] * 4, rel=1e-5)


def test_attention_is_that_of_the_single_models(checkpoint, images):
    """Seen in one run of the encoder for all of them."""
    options = {
        'none': dict(prompt_length=0),
        'also none': dict(prompt_length=0),
        'four masks': dict(prompt_length=3, mask_grid=2),
        'deep': dict(prompt_length=3, prompt_blocks=(0, 2)),
        'after cls': dict(prompt_length=2, prompt_location='after_cls'),
    }
    models = {k: make_classifier(checkpoint, **o) for k, o in options.items()}
    pool = VPTMTaskPool(
        ENCODER,
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
    )
    for name, model in models.items():
        pool.add(task_of(model), name)
    image = PreparedImage([images[0]], [list(models)], list(models))
    results, looks = mask_attention(pool, image)
    for name, model in models.items():
        masks, _ = attention_maps(model.backbone, images[:1])
        assert looks[name].shape == (4, 4)
        last = masks.patches[0, 2].mean(0)  # of D = 3 blocks
        torch.testing.assert_close(looks[name].flatten(), last)
        with torch.no_grad():
            label = model(images[:1]).argmax().item()
        assert results[name]['pred_label'] == label


def test_patches_that_are_looked_at_are_brighter():
    looks = torch.tensor([[0.0, 0.3], [0.1, 0.2]])
    picture = overlay_attention(np.full((8, 12, 3), 0.5), looks)
    assert picture.shape == (8, 12, 3)
    assert picture.dtype == np.uint8
    cells = picture.reshape(2, 4, 2, 6, 3)
    assert (cells == cells[:, :1, :, :1]).all()
    brightness = cells[:, 0, :, 0].astype(int).sum(-1)
    order = np.argsort(brightness.flatten())
    assert order.tolist() == [0, 2, 3, 1]
