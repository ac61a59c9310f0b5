"""Any tuning with any readout; the flat classes are put together from them."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmpretrain import get_model
from mmpretrain.registry import MODELS

from vptm_mm.models import (
    AdaptedBackbone,
    AdaptFormerBackbone,
    BlockFeatures,
    FineTunedBackbone,
    FrozenFeatures,
    GateVPTBackbone,
    LoRABackbone,
    VPTBackbone,
    VPTMBackbone,
)
from vptm_mm.nn import trainable_parameters
from vptm_mm.tasks import load_classifier, make_task, read_task, write_task

from ..conftest import ENCODER, NUM_VISUAL_TOKENS
from ..made_tasks import make_config

TUNINGS = {
    'none': None,
    'prompts': dict(type='PromptTuning', prompt_length=3),
    'late': dict(type='PromptTuning', prompt_length=3, prompt_blocks=(2,)),
    'gates': dict(type='GatedPromptTuning', prompt_length=3),
    'lora': dict(type='LoRATuning', rank=2),
    'adapters': dict(type='AdaptFormerTuning', bottleneck_dims=4),
    'bias': dict(type='BitFitTuning'),
    'full': dict(type='FullTuning'),
}
READOUTS = {
    'masks': (dict(type='MaskReadout', mask_grid=2), (2, 64)),
    'tokens': (dict(type='MaskReadout', visual_token='logits'), (2, 12)),
    'cls': (dict(type='ClsReadout'), (2, 16)),
    'patches': (dict(type='PatchReadout'), (2, 16)),
    'cells': (dict(type='PatchReadout', pool_grid=2), (2, 64)),
    'map': (dict(type='BlockReadout', block=2), (2, 16, 4, 4)),
}


@pytest.fixture
def adapt(checkpoint):
    """Build a backbone from parts, on the tiny checkpoint."""

    def _adapt(cls=AdaptedBackbone, **options):
        torch.manual_seed(0)
        init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint))
        return cls(ENCODER, init_cfg=init_cfg, **options)

    return _adapt


def disturb(backbone):
    """Move what is tuned away from its start, which is often zero."""
    generator = torch.Generator().manual_seed(0)
    for parameter in trainable_parameters(backbone).values():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data += 0.3 * noise
    return backbone


@pytest.mark.parametrize('readout', READOUTS)
@pytest.mark.parametrize('tuning', TUNINGS)
def test_any_tuning_with_any_readout(adapt, images, tuning, readout):
    """Speed-ups change nothing, each trained parameter has a gradient."""
    part, shape = READOUTS[readout]
    results = []
    for speedups in ((), ('fused_attention', 'lean_last_block')):
        backbone = adapt(
            tuning=TUNINGS[tuning],
            readout=part,
            num_visual_tokens=NUM_VISUAL_TOKENS,
            speedups=speedups,
        )
        if tuning != 'full':
            disturb(backbone)
        (out,) = backbone(images)
        assert out.shape == shape
        assert readout == 'map' or backbone.out_channels == shape[1]
        results.append(out)
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)
    tuned = trainable_parameters(backbone)
    assert bool(tuned) == (tuning != 'none')
    if tuned:
        weights = torch.linspace(-1, 1, out.numel()).view_as(out)
        (out * weights).sum().backward()
    unread = ('encoder.token_predictor.', 'encoder.ln1.')
    for name, parameter in tuned.items():
        if not name.startswith(unread):
            assert parameter.grad is not None, name


def test_a_task_file_of_parts(checkpoint, images, tmp_path):
    parts = dict(
        type='AdaptedBackbone',
        tuning=TUNINGS['lora'],
        readout=READOUTS['masks'][0],
    )
    config = make_config(checkpoint, mask_grid=2)
    backbone = {**config.model.backbone, **parts}
    for name in ('mask_grid', 'num_visual_tokens'):
        del backbone[name]
    config.model.backbone = ConfigDict(backbone)
    model = get_model(config)
    disturb(model.backbone)
    task = make_task(model, config)
    assert 'backbone.lora_q.0.down' in task.tensors
    write_task(task, tmp_path / 'task.safetensors')
    again = load_classifier(read_task(tmp_path / 'task.safetensors'))
    assert again(images).equal(model(images))


PROMPTS = dict(prompt_length=3, prompt_blocks=(0, 2))
FLAT = [
    (
        VPTMBackbone,
        dict(
            PROMPTS,
            mask_grid=2,
            visual_token='logits',
            num_visual_tokens=NUM_VISUAL_TOKENS,
            prompt_location='after_cls',
        ),
        dict(
            tuning=dict(
                type='PromptTuning', prompt_location='after_cls', **PROMPTS
            ),
            readout=dict(
                type='MaskReadout', mask_grid=2, visual_token='logits'
            ),
            num_visual_tokens=NUM_VISUAL_TOKENS,
        ),
    ),
    (
        VPTBackbone,
        dict(PROMPTS, readout='patches', pool_grid=2),
        dict(
            tuning=dict(
                type='PromptTuning', prompt_location='after_cls', **PROMPTS
            ),
            readout=dict(type='PatchReadout', pool_grid=2),
        ),
    ),
    (
        GateVPTBackbone,
        dict(prompt_length=3, initial_gate=0.2),
        dict(
            tuning=dict(
                type='GatedPromptTuning',
                prompt_length=3,
                initial_gate=0.2,
                prompt_location='after_cls',
            ),
            readout=dict(type='ClsReadout'),
        ),
    ),
    (
        LoRABackbone,
        dict(rank=2, alpha=3.0),
        dict(
            tuning=dict(type='LoRATuning', rank=2, alpha=3.0),
            readout=dict(type='ClsReadout'),
        ),
    ),
    (
        AdaptFormerBackbone,
        dict(bottleneck_dims=4, scale=0.3),
        dict(
            tuning=dict(
                type='AdaptFormerTuning', bottleneck_dims=4, scale=0.3
            ),
            readout=dict(type='ClsReadout'),
        ),
    ),
    (
        FineTunedBackbone,
        dict(tuned='bias'),
        dict(
            tuning=dict(type='BitFitTuning'), readout=dict(type='ClsReadout')
        ),
    ),
    (
        FineTunedBackbone,
        dict(tuned='all'),
        dict(tuning=dict(type='FullTuning'), readout=dict(type='ClsReadout')),
    ),
    (
        FrozenFeatures,
        dict(readout='patches'),
        dict(readout=dict(type='PatchReadout')),
    ),
    (
        BlockFeatures,
        dict(block=1),
        dict(readout=dict(type='BlockReadout', block=1)),
    ),
]


@pytest.mark.parametrize(('cls', 'flat', 'parts'), FLAT)
def test_a_flat_class_is_its_parts(adapt, images, cls, flat, parts):
    ours, theirs = adapt(cls, **flat), adapt(**parts)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert disturb(ours)(images)[0].equal(disturb(theirs)(images)[0])


def test_prompts_behind_what_is_read_are_refused(adapt):
    tuning = dict(type='PromptTuning', prompt_blocks=(0, 2))
    with pytest.raises(ValueError, match=r'prompt_blocks=\(0, 2\) must be be'):
        adapt(tuning=tuning, readout=dict(type='BlockReadout', block=1))


@pytest.mark.parametrize(
    'tuning', ['none', 'prompts', 'late', 'gates', 'lora', 'adapters']
)
def test_bfloat16_holds_for_every_tuning(adapt, images, tuning):
    outputs, gradients = [], []
    for dtype in ('float32', 'bfloat16'):
        backbone = adapt(
            tuning=TUNINGS[tuning],
            readout=READOUTS['masks'][0],
            dtype=dtype,
            with_cp=True,
        )
        assert all(
            p.dtype == torch.float32
            for p in trainable_parameters(disturb(backbone)).values()
        )
        (out,) = backbone(images)
        assert out.dtype == torch.float32
        outputs.append(out)
        if tuning != 'none':
            (
                out * torch.linspace(-1, 1, out.numel()).view_as(out)
            ).sum().backward()
            gradients.append(
                torch.cat(
                    [
                        p.grad.flatten()
                        for p in trainable_parameters(backbone).values()
                    ]
                )
            )
    for full, half in filter(None, (outputs, gradients)):
        assert 0 < (half - full).norm() <= 0.06 * full.norm()


@pytest.mark.parametrize('assign', [False, True])
def test_another_position_table_is_noticed(adapt, images, assign):
    """The bias of a frozen table is computed once, for each table."""
    backbone, fresh = (
        adapt(tuning=TUNINGS['late'], readout=READOUTS['masks'][0])
        for _ in range(2)
    )
    before = backbone(images)[0]
    state = {k: v.clone() for k, v in backbone.state_dict().items()}
    state['encoder.rel_pos_bias.relative_position_bias_table'] *= -1
    backbone.load_state_dict(state, assign=assign)
    fresh.load_state_dict(state)
    after = backbone(images)[0]
    assert after.equal(fresh(images)[0])
    assert not after.equal(before)
    assert backbone.double()(images.double())[0].dtype == torch.float64


@pytest.mark.parametrize('tuning', ['bias', 'full'])
def test_a_trained_encoder_is_float32(adapt, tuning):
    with pytest.raises(ValueError, match="dtype='bfloat16' would round"):
        adapt(
            tuning=TUNINGS[tuning],
            readout=READOUTS['cls'][0],
            dtype='bfloat16',
        )


def test_full_tuning_trains_the_mask_token_where_it_is_read(adapt):
    for readout, is_read in (('masks', True), ('cls', False)):
        backbone = adapt(tuning=TUNINGS['full'], readout=READOUTS[readout][0])
        assert backbone.encoder.mask_token.requires_grad == is_read


def test_no_name_of_the_host_is_taken():
    parts = (*TUNINGS.values(), *(part for part, _ in READOUTS.values()))
    for part in filter(None, parts):
        assert MODELS.get(part['type']).__module__.startswith('vptm_mm.')
    assert MODELS.get('LoRAModel').__module__.startswith('mmpretrain.')


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(readout='cls'), TypeError, "readout='cls' must be a dict"),
        (
            dict(readout=dict(type='LoRATuning')),
            ValueError,
            "readout.type='LoRATuning' must be one of .*'ClsReadout'",
        ),
        (
            dict(readout=READOUTS['cls'][0], tuning=dict(type='LoRAModel')),
            ValueError,
            "tuning.type='LoRAModel' must be one of .*'PromptTuning'",
        ),
    ],
)
def test_bad_parts(adapt, options, error, message):
    with pytest.raises(error, match=message):
        adapt(**options)
