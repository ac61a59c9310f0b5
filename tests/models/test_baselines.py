"""The baselines against the linear probe, closed forms and each other."""

import copy
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmpretrain.models import BEiTViT
from mmpretrain.registry import MODELS

from vptm_mm.models import (
    AdaptFormerBackbone,
    FineTunedBackbone,
    FrozenFeatures,
    GateVPTBackbone,
    LoRABackbone,
    VPTBackbone,
)
from vptm_mm.nn import trainable_parameters
from vptm_mm.tasks import task_state

from ..conftest import ENCODER, ROOT, randomize

DEEP = (0, 1, 2)
# A class, its options, the names and the number of its trainable parameters.
BASELINES = {
    'linear': (FrozenFeatures, dict(), r'none', 0),
    'full': (
        FineTunedBackbone,
        dict(tuned='all'),
        r'encoder\.(?!mask_token)',
        51,
    ),
    'bitfit': (
        FineTunedBackbone,
        dict(tuned='bias'),
        r'encoder\.(patch_embed\.projection\.bias|ln1\.bias|layers\.\d\.'
        r'(ln[12]\.bias|attn\.[qv]_bias|attn\.proj\.bias|ffn\..*\.bias))$',
        23,
    ),
    'lora': (
        LoRABackbone,
        dict(rank=2, alpha=3.0),
        r'tuning\.lora_[qv]\.\d\.(down|up)$',
        12,
    ),
    'adaptformer': (
        AdaptFormerBackbone,
        dict(bottleneck_dims=4),
        r'tuning\.adapters\.\d\.(down|up)\.(weight|bias)$',
        12,
    ),
    'vpt-shallow': (
        VPTBackbone,
        dict(prompt_length=3),
        r'tuning\.prompt_tokens\.prompts$',
        1,
    ),
    'vpt-deep': (
        VPTBackbone,
        dict(prompt_length=3, prompt_blocks=DEEP),
        r'tuning\.prompt_tokens\.prompts$',
        1,
    ),
    'gatevpt': (
        GateVPTBackbone,
        dict(prompt_length=3),
        r'tuning\.(prompt_tokens\.prompts|gate_logits)$',
        2,
    ),
}
TUNED = [name for name in BASELINES if name != 'linear']
SMALL = [name for name in TUNED if name not in ('full', 'bitfit')]


@pytest.fixture
def baseline(checkpoint):
    """Build a baseline on the tiny checkpoint."""

    def _baseline(name: str, seed: int = 0, **options) -> FrozenFeatures:
        cls, defaults, _, _ = BASELINES[name]
        torch.manual_seed(seed)
        options.setdefault('encoder', ENCODER)
        options.setdefault(
            'init_cfg', dict(type='Pretrained', checkpoint=str(checkpoint))
        )
        return cls(**{**defaults, **options})

    return _baseline


def disturb(module: torch.nn.Module, seed: int = 0) -> None:
    """Move each trainable parameter away from its start."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in trainable_parameters(module).values():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data += 0.3 * noise


@pytest.mark.parametrize('name', BASELINES)
def test_each_parameter_is_tuned_or_frozen(baseline, name):
    _, _, pattern, count = BASELINES[name]
    backbone = baseline(name)
    tuned = set(trainable_parameters(backbone))
    expected = {
        parameter
        for parameter, _ in backbone.named_parameters()
        if re.match(pattern, parameter)
    }
    assert tuned == expected
    assert len(tuned) == count
    for parameter, _ in backbone.named_parameters():
        assert parameter in tuned or parameter.startswith('encoder.')


@pytest.mark.parametrize('readout', ['cls', 'patches'])
@pytest.mark.parametrize('name', TUNED)
def test_one_optimizer_step_changes_what_is_tuned_and_nothing_else(
    baseline, images, name, readout
):
    # Half of each method stands still at its start: B and W_up are zero.
    backbone = baseline(name, readout=readout).train()
    disturb(backbone)
    before = copy.deepcopy(backbone.state_dict())
    tuned = trainable_parameters(backbone)
    # No weight decay: each change comes from a gradient.
    optimizer = torch.optim.AdamW(tuned.values(), lr=0.1, weight_decay=0)
    (feature,) = backbone(images)
    (feature * torch.randn_like(feature)).sum().backward()
    optimizer.step()
    for parameter, tensor in backbone.state_dict().items():
        changed = tensor != before[parameter]
        is_tuned = {parameter, f'tuning.{parameter}'} & tuned.keys()
        assert changed.any() == bool(is_tuned), parameter
        if parameter == 'prompt_tokens.prompts':
            assert changed.flatten(1).any(1).all()
        if parameter == 'gate_logits':
            assert changed.all()


@pytest.mark.parametrize('readout', ['cls', 'patches'])
@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('full', {}),
        ('bitfit', {}),
        ('lora', {}),
        ('adaptformer', {}),
        ('vpt-shallow', dict(prompt_length=0)),
        ('vpt-deep', dict(prompt_length=0)),
    ],
)
def test_starts_at_the_linear_probe(baseline, images, name, options, readout):
    (expected,) = baseline('linear', readout=readout)(images)
    backbone = baseline(name, readout=readout, **options)
    # Where the table asks for a gradient, the attention has another kernel.
    torch.testing.assert_close(
        backbone(images)[0], expected, atol=1e-5, rtol=1e-5
    )
    disturb(backbone)
    assert torch.equal(backbone(images)[0], expected) == (
        not trainable_parameters(backbone)
    )


@pytest.mark.parametrize('name', TUNED)
def test_modes(baseline, images, name):
    """Frozen blocks have no dropout; the fine-tuned ones follow the mode."""
    encoder = dict(ENCODER, drop_path_rate=0.5)
    backbone = baseline(name, encoder=encoder)
    assert backbone.train() is backbone
    follows = name in ('full', 'bitfit')
    assert all(m.training == follows for m in backbone.encoder.modules())
    many = images.repeat(8, 1, 1, 1)
    same = torch.equal(backbone(many)[0], backbone(many)[0])
    assert same != follows
    backbone.eval()
    assert not any(m.training for m in backbone.encoder.modules())
    assert torch.equal(backbone(many)[0], backbone(many)[0])


def test_a_tuned_encoder_drops_what_the_host_drops(baseline, images):
    encoder = dict(ENCODER, drop_rate=0.3, drop_path_rate=0.5)
    backbone = baseline(
        'full', encoder=encoder, readout='patches', pool_grid=4
    )
    backbone.train()
    torch.manual_seed(0)
    (ours,) = backbone(images)
    host = MODELS.build(dict(encoder, out_type='raw'))
    host.train()
    host.load_state_dict(backbone.encoder.state_dict(), strict=False)
    torch.manual_seed(0)
    hosts = BEiTViT.forward(host, images)[0][:, 1:]
    torch.testing.assert_close(ours, hosts.mT.flatten(1))


def test_lora_equals_weights_that_are_merged(baseline, images):
    backbone = baseline('lora')
    disturb(backbone)
    merged = baseline('linear')
    for block, layer in enumerate(merged.encoder.layers):
        query, _, value = layer.attn.qkv.weight.data.chunk(3)
        lora_q = backbone.tuning.lora_q[block]
        lora_v = backbone.tuning.lora_v[block]
        query += 3.0 / 2 * lora_q.up.data @ lora_q.down.data
        value += 3.0 / 2 * lora_v.up.data @ lora_v.down.data
    torch.testing.assert_close(backbone(images), merged(images))


@pytest.mark.parametrize('layer_scale', [0.1, 0.0])
def test_an_adapter_stands_beside_the_mlp(images, layer_scale):
    encoder = dict(
        ENCODER,
        arch=dict(ENCODER['arch'], num_layers=1, depth=1),
        layer_scale_init_value=layer_scale,
    )
    backbone = AdaptFormerBackbone(encoder, bottleneck_dims=4, scale=0.7)
    randomize(backbone)
    backbone.load_state_dict(backbone.state_dict())  # now it has weights
    (layer,), (adapter,) = backbone.encoder.layers, backbone.tuning.adapters
    normed = []
    hook = layer.ln2.register_forward_hook(
        lambda *args: normed.append(args[2])
    )
    tokens = backbone.encoder.embed(images)
    plain = layer(tokens, backbone.encoder.rel_pos_bias())
    hook.remove()
    hidden = torch.relu(normed[0] @ adapter.down.weight.T + adapter.down.bias)
    branch = hidden @ adapter.up.weight.T + adapter.up.bias
    expected = backbone.encoder.ln1(plain + 0.7 * branch)[:, 0]
    torch.testing.assert_close(backbone(images)[0], expected)


def prompted(backbone, images, prompts):
    """Run the host's blocks; ``prompts`` gets a block and the last ones."""
    encoder = backbone.encoder
    patches, _ = encoder.patch_embed(images)
    cls_token = encoder.cls_token.expand(2, -1, -1)
    inside = torch.tensor([0, *range(4, 20)])
    bias = torch.zeros(2, 20, 20)
    bias[:, inside[:, None], inside] = encoder.rel_pos_bias()
    before = None
    for block, layer in enumerate(encoder.layers):
        before = prompts(block, before)
        tokens = torch.cat([cls_token, before, patches], 1)
        tokens = layer(tokens, bias)
        cls_token, before, patches = tokens.split([1, 3, 16], 1)
    return encoder.ln1(cls_token)[:, 0]


def test_vpt_equals_a_sequence_built_by_hand(baseline, images):
    deep = baseline('vpt-deep')
    table = deep.tuning.prompt_tokens.prompts
    expected = prompted(
        deep, images, lambda block, _: table[block].expand(2, -1, -1)
    )
    torch.testing.assert_close(deep(images)[0], expected)

    shallow = baseline('vpt-shallow')
    first = shallow.tuning.prompt_tokens.prompts[0].expand(2, -1, -1)
    expected = prompted(
        shallow, images, lambda block, before: before if block else first
    )
    torch.testing.assert_close(shallow(images)[0], expected)


def test_each_block_has_its_gate(baseline, images):
    backbone = baseline('gatevpt', initial_gate=0.25)
    gates = backbone.tuning.gate_logits.sigmoid()
    torch.testing.assert_close(gates, torch.tensor([0.25, 0.25]))
    backbone.tuning.gate_logits.data[1] = 1.0
    gates = (0.25, backbone.tuning.gate_logits.data[1].sigmoid())
    state = backbone.tuning.prompt_tokens.prompts[0].expand(2, -1, -1)

    def mix(block, before):
        nonlocal state
        if block:
            gate = gates[block - 1]
            state = gate * before + (1 - gate) * state
        return state

    expected = prompted(backbone, images, mix)
    torch.testing.assert_close(backbone(images)[0], expected)


@pytest.mark.parametrize(
    ('name', 'parameter'),
    [
        ('lora', 'tuning.lora_v.1.up'),
        ('adaptformer', 'tuning.adapters.1.down.bias'),
        ('gatevpt', 'tuning.gate_logits'),
    ],
)
def test_gradients_match_finite_differences(baseline, name, parameter):
    backbone = baseline(name)
    disturb(backbone)
    backbone = backbone.double()
    image = torch.randn(1, 3, 16, 16, dtype=torch.float64)

    def output(values):
        return torch.func.functional_call(
            backbone, {parameter: values}, (image,)
        )[0]

    values = backbone.get_parameter(parameter).detach().requires_grad_()
    assert torch.autograd.gradcheck(output, values, atol=1e-6)


def classifier(name: str, seed: int = 0) -> tuple[Config, BaseModel]:
    path = ROOT / 'configs' / 'baselines' / f'{name}_beitv2-tiny_digits.py'
    cfg = Config.fromfile(path)
    torch.manual_seed(seed)
    model = MODELS.build(
        dict(cfg.model, data_preprocessor=cfg.data_preprocessor)
    )
    return cfg, model.eval()


@pytest.mark.parametrize('name', ['full', 'bitfit'])
def test_there_is_no_task_file_of_a_tuned_encoder(name):
    _, model = classifier(name)
    with pytest.raises(ValueError, match='FineTunedBackbone has .* or tunes'):
        task_state(model)
    _, probe = classifier('linear-cls')
    with pytest.raises(ValueError, match='or tunes them, and a task was'):
        model.load_state_dict(task_state(probe), strict=False)


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('full', dict(tuned='weight'), "tuned='weight' must be one of"),
        ('lora', dict(rank=17), r'rank=17 must be an int in 1\.\.16'),
        ('adaptformer', dict(bottleneck_dims=0), 'bottleneck_dims=0 must be'),
        (
            'gatevpt',
            dict(prompt_length=0),
            'prompt_length=0 must be an int >= 1',
        ),
        ('gatevpt', dict(initial_gate=1.0), r'initial_gate=1\.0 must be bet'),
        ('lora', dict(readout='mean'), "readout='mean' must be one of"),
    ],
)
def test_bad_options(baseline, name, options, message):
    with pytest.raises(ValueError, match=message):
        baseline(name, **options)
