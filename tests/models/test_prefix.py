"""Frozen blocks before what is tuned: their states replace images."""

import pytest
import torch

VPTM = [
    (dict(prompt_blocks=(2,)), 2),
    (dict(prompt_blocks=(1, 2), mask_grid=2, visual_token='logits'), 1),
    (dict(prompt_blocks=(1,), prompt_location='after_cls'), 1),
    (dict(prompt_length=0, mask_grid=2), 3),
    (dict(prompt_length=0, speedups=()), 3),
]


def require_equal_from_states(backbone, images, depth):
    assert backbone.prefix_depth == depth
    with torch.no_grad():
        states = backbone.run_prefix(images)
    assert states.ndim == 3
    tuned = [p for p in backbone.parameters() if p.requires_grad]
    results = []
    for given in (images, states):
        (out,) = backbone(given)
        # Without prompts there is nothing that a gradient reaches.
        gradients = torch.autograd.grad(out.sum(), tuned) if tuned else ()
        results.append((out, gradients))
    (out, gradients), (from_states, theirs) = results
    assert torch.equal(out, from_states)
    for ours, other in zip(gradients, theirs, strict=True):
        assert torch.equal(ours, other)
        assert ours.norm() > 0


@pytest.mark.parametrize(('options', 'depth'), VPTM)
def test_states_replace_images(build, images, options, depth):
    require_equal_from_states(build(**options), images, depth)


def test_prompts_do_not_change_the_states(build, images):
    backbone = build(prompt_blocks=(1,))
    before = backbone.run_prefix(images)
    with torch.no_grad():
        backbone.tuning.prompt_tokens.prompts.add_(1)
    assert torch.equal(backbone.run_prefix(images), before)
    other = build(prompt_blocks=(1,), prompt_length=7, seed=5)
    assert torch.equal(other.run_prefix(images), before)


def test_no_prompts_keep_one_state_a_mask(build, images):
    backbone = build(prompt_length=0, mask_grid=2)
    assert backbone.run_prefix(images).shape == (2, 4, 16)


def test_states_of_another_width(build):
    with pytest.raises(ValueError, match='input of shape'):
        build(prompt_blocks=(2,))(torch.zeros(2, 18, 15))
