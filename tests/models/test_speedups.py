"""Each exact speed-up against the plain path: outputs, gradients, work."""

import copy
import itertools

import pytest
import torch
from mmpretrain.models.utils import BEiTAttention
from torch.utils._python_dispatch import TorchDispatchMode

from vptm_mm.models.attention import FusedAttention
from vptm_mm.models.encoder import SPEEDUPS

SUBSETS = [
    subset
    for count in (1, 2)
    for subset in itertools.combinations(SPEEDUPS, count)
]
SEQUENCES = [
    dict(),
    dict(mask_grid=2, prompt_location='after_cls'),
    dict(prompt_blocks=(2,), prompt_location='after_mask'),
    dict(prompt_blocks=range(3), mask_bias='cls', prompt_bias='cls'),
    dict(prompt_length=0, mask_grid=3),
    dict(visual_token='logits'),
]


def outputs_and_gradients(backbone, images, of_images=True):
    """What leaves the backbone, and what reaches prompts and images."""
    images = images.clone().requires_grad_(of_images)
    (out,) = backbone(images)
    tuned = [p for p in backbone.parameters() if p.requires_grad]
    wanted = [images, *tuned] if of_images else tuned
    if not wanted:
        return out, []
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    return out, torch.autograd.grad((out * weights).sum(), wanted)


@pytest.mark.parametrize('of_images', [False, True])
@pytest.mark.parametrize('speedups', SUBSETS)
@pytest.mark.parametrize('options', SEQUENCES)
def test_equal_to_the_plain_path(build, images, options, speedups, of_images):
    plain = build(speedups=(), **options)
    fast = build(speedups=speedups, **options)
    expected, wanted = outputs_and_gradients(plain, images, of_images)
    out, gradients = outputs_and_gradients(fast, images, of_images)
    assert (out - expected).abs().max() <= 1e-5
    for ours, host in zip(gradients, wanted, strict=True):
        assert (ours - host).norm() <= 1e-4 * host.norm()
        assert host.norm() > 0


def test_all_are_on_and_the_names_are_the_hosts(build):
    fast, plain = build(), build(speedups=())
    assert fast.encoder.speedups == SPEEDUPS
    assert list(fast.state_dict()) == list(plain.state_dict())
    attention = [type(layer.attn) for layer in fast.encoder.layers]
    assert set(attention) == {FusedAttention}
    attention = [type(layer.attn) for layer in plain.encoder.layers]
    assert set(attention) == {BEiTAttention}


class Kernels(TorchDispatchMode):
    """Records the names of attention kernels."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if 'scaled_dot_product' in str(func):
            self.names.append(str(func).split('.')[1])
        return func(*args, **(kwargs or {}))


FOR_CPU = '_scaled_dot_product_flash_attention_for_cpu'
needs_its_kernel = [
    pytest.mark.skipif(
        not hasattr(torch.ops.aten, FOR_CPU),
        reason='this torch has no fused attention with a bias on CPUs',
    )
]


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
@pytest.mark.parametrize(
    'device',
    [
        pytest.param('cpu', marks=needs_its_kernel),
        pytest.param('cuda', marks=pytest.mark.gpu),
    ],
)
def test_a_fused_kernel_takes_the_padded_bias(build, images, device, dtype):
    """Forward and backward of each block but the last, read at one token."""
    backbone = build(dtype=dtype).to(device)
    with Kernels() as kernels:
        (out,) = backbone(images.to(device))
        out.sum().backward()
    depth = len(backbone.encoder.layers) - 1
    backward = [name for name in kernels.names if name.endswith('_backward')]
    if device == 'cpu' and dtype == 'bfloat16':
        depth = 0  # products of matrices: the kernel has no fast gradient
    assert len(backward) == depth
    assert len(kernels.names) - len(backward) == depth
    assert not any('math' in name for name in kernels.names)


@pytest.mark.parametrize('bias', ['qv_bias', True, False])
@pytest.mark.parametrize('queries', [None, slice(2, 4), slice(0, 7)])
@pytest.mark.parametrize('num_heads', [2, 4])
def test_attention_equals_the_hosts(bias, queries, num_heads):
    torch.manual_seed(0)
    host = BEiTAttention(16, num_heads, None, False, bias=bias, qk_scale=0.3)
    for parameter in host.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = copy.deepcopy(host)
    FusedAttention.replace(ours)
    x, one = torch.randn(3, 7, 16), torch.randn(num_heads, 7, 7)
    for rel_pos_bias in (one, torch.randn(3, num_heads, 7, 7)):
        expected = host(x, rel_pos_bias)
        expected = expected if queries is None else expected[:, queries]
        out = ours(x, rel_pos_bias, queries)
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


class Products(TorchDispatchMode):
    """Records the rows of each matrix product, and the numbers per row."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.addmm.default, torch.ops.aten.mm.default):
            self.shapes.append(tuple(out.shape))
        return out


# Of 2 images: query, projection, MLP of one token each; no keys, no values.
LEAN = [(2, 16), (2, 16), (2, 32), (2, 16)]


def test_the_last_block_computes_what_is_read(build, images):
    """Of 2 images with 21 tokens of width 16, one [MASK] each."""
    shapes = {}
    for speedups in (('fused_attention',), SPEEDUPS):
        backbone = build(speedups=speedups)
        with Products() as products, torch.no_grad():
            backbone(images)
        shapes[speedups] = products.shapes[-4:]
    # Projections into and out of the attention, two matrices of the MLP.
    assert shapes['fused_attention',] == [
        (42, 48),
        (42, 16),
        (42, 32),
        (42, 16),
    ]
    assert shapes[SPEEDUPS] == LEAN


def test_dropped_weights_and_paths_are_the_hosts(build, images):
    """In training, as full fine-tuning runs it."""
    encoder = build().encoder
    layer = encoder.layers[-1].train()
    layer.attn.attn_drop.p = layer.drop_path.drop_prob = 0.999999
    tokens = torch.randn(2, 5, 16)
    bias = torch.zeros(2, 5, 5)
    out = encoder.run(tokens, bias, (2,), slice(1, 3))
    assert torch.equal(out, tokens[:, 1:3])


@pytest.mark.parametrize(
    ('prompts', 'tokens', 'row'), [(3, 21, 24), (6, 24, 24)]
)
def test_rows_of_the_bias_are_aligned(build, prompts, tokens, row):
    backbone = build(prompt_length=prompts)
    table = backbone.encoder.rel_pos_bias.relative_position_bias_table
    bias = backbone.sequence.prompted_bias(table)
    assert bias.shape == (2, tokens, tokens)
    assert bias.stride() == (tokens * row, row, 1)


def test_unknown_speedups(build):
    with pytest.raises(ValueError, match=r"holds \['faster'\]; allowed are"):
        build(speedups=('faster',))
