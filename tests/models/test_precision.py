"""A frozen trunk in bfloat16, and blocks that are computed again."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vptm_mm.nn import trainable_parameters

SEQUENCES = [
    dict(),
    dict(prompt_blocks=(1, 2), mask_grid=2, visual_token='logits'),
    dict(prompt_blocks=(2,), speedups=()),
]


def run(backbone, images):
    """Output, and gradients of what is tuned."""
    (out,) = backbone(images)
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    tuned = list(trainable_parameters(backbone).values())
    return out, torch.autograd.grad((out * weights).sum(), tuned)


def test_what_is_frozen_is_stored_in_bfloat16_and_nothing_else(build):
    backbone = build(dtype='bfloat16', visual_token='logits')
    tuned = trainable_parameters(backbone)
    for name, parameter in backbone.named_parameters():
        wanted = torch.float32 if name in tuned else torch.bfloat16
        assert parameter.dtype == wanted, name


def test_the_states_of_a_prefix_are_bfloat16(build, images):
    backbone = build(dtype='bfloat16', prompt_blocks=(1,))
    states = backbone.run_prefix(images)
    assert states.dtype == torch.bfloat16
    assert torch.equal(backbone(states.float())[0], backbone(images)[0])


def test_checkpoints_and_digests_are_those_of_float32(build):
    full, half = build(), build(dtype='bfloat16')
    assert half.frozen_sha256 == full.frozen_sha256
    half.init_weights()
    ours, theirs = half.state_dict(), full.state_dict()
    assert list(ours) == list(theirs)
    for name, tensor in half.frozen_state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
        assert tensor.dtype == torch.float32 or not tensor.is_floating_point()
    parent = torch.nn.Sequential(half)
    assert torch.equal(
        parent.state_dict()['0.encoder.cls_token'],
        theirs['encoder.cls_token'],
    )
    other = build(seed=3)
    other.load_state_dict(ours)
    assert other.frozen_sha256 == full.frozen_sha256


def test_loading_replaces_the_rounded_and_the_unrounded(build, images):
    half = build(dtype='bfloat16')
    state = copy.deepcopy(half.state_dict())
    state['encoder.cls_token'] += 1.001
    half.load_state_dict(state)
    assert torch.equal(
        half.state_dict()['encoder.cls_token'], state['encoder.cls_token']
    )
    assert torch.equal(
        half.encoder.cls_token, state['encoder.cls_token'].bfloat16()
    )
    half.init_weights()
    again = copy.deepcopy(half)
    assert torch.equal(again(images)[0], half(images)[0])


def test_unknown_dtype(build):
    with pytest.raises(ValueError, match="dtype='float16' must be one of"):
        build(dtype='float16')


class Products(TorchDispatchMode):
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func == torch.ops.aten.addmm.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('options', SEQUENCES)
def test_computing_again_changes_nothing(build, images, options):
    results, counts = [], []
    for with_cp in (False, True):
        with Products() as products:
            out, gradients = run(build(with_cp=with_cp, **options), images)
        results.append((out, *gradients))
        counts.append(products.count)
    for ours, plain in zip(*results, strict=True):
        assert torch.equal(ours, plain)
    assert counts[1] > counts[0] > 0
