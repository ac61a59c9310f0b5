"""Rows, columns and scales of the picture of attention."""

import numpy as np
import pytest

from vptm_mm.visualization import attention_maps, draw_attention, draw_shares


def draw(backbone, images):
    masks, prompts = attention_maps(backbone, images)
    figure = draw_attention(
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
    figure, _, _ = draw(build(**options), images)
    # An image, three blocks, the rollout; then two colour bars.
    panels, bars = figure.axes[:-2], figure.axes[-2:]
    assert [ax.get_ylabel() for ax in panels[::5]] == rows
    heads = ['image', 'block 0', 'block 1', 'block 2', 'rollout']
    assert [ax.get_title() for ax in panels[:5]] == heads
    assert 'share of the attention' in bars[0].get_xlabel()


def test_heat_is_the_attention_at_its_place(build, images):
    figure, masks, _ = draw(build(prompt_length=0), images)
    _, heat = figure.axes[2].images
    expected = 100 * masks.patches[0, 1, 0].view(4, 4)
    np.testing.assert_allclose(heat.get_array(), expected, rtol=1e-6)


@pytest.mark.parametrize('mask_bias', ['grid', 'zero'])
def test_a_ring_where_the_mask_stands(build, images, mask_bias):
    backbone = build(prompt_length=1, mask_bias=mask_bias, mask_grid=2)
    figure, _, _ = draw(backbone, images)
    rings = [ax.lines for ax in figure.axes[:25:5]]
    assert [len(lines) for lines in rings] == (
        [1, 1, 1, 1, 0] if mask_bias == 'grid' else [0] * 5
    )
    if mask_bias == 'grid':  # [MASK] 1 is top right
        assert rings[1][0].get_xydata().tolist() == [[0.75, 0.25]]


def test_a_late_prompt_has_not_entered_at_first(build, images):
    backbone = build(prompt_length=1, prompt_blocks=(2,))
    figure, _, _ = draw(backbone, images)
    texts = [''.join(t.get_text() for t in ax.texts) for ax in figure.axes]
    assert texts[5:10] == ['', 'not yet\nentered', 'not yet\nentered', '', '']


@pytest.mark.parametrize('length', [0, 3])
def test_shares_add_up(build, images, length):
    backbone = build(prompt_length=length)
    figure = draw_shares(*attention_maps(backbone, images), 'title')
    assert len(figure.axes) == (2 if length else 1)
    bars = figure.axes[0].patches
    tops = [bar.get_y() + bar.get_height() for bar in bars]
    # Four kinds of tokens, four steps each.
    assert tops[-4:] == pytest.approx([100] * 4, rel=1e-5)
