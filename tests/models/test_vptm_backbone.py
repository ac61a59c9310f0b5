"""The backbone against MMPretrain's own pre-training model, and itself."""

import copy

import pytest
import torch
from mmengine.utils import digit_version
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from vptm_mm.models import FrozenFeatures, VPTMBackbone
from vptm_mm.nn import trainable_parameters

from ..conftest import (
    ENCODER,
    NUM_VISUAL_TOKENS,
)


def host_states(model, images, mask):
    """Hidden states and logits as MMPretrain's own model computes them."""
    latent = model.backbone(images, mask)
    hidden, _ = model.neck(
        latent, rel_pos_bias=model.backbone.shared_rel_pos_bias
    )
    return hidden, model.head.cls_head(hidden)


def check_against_host(model, encoder, num_visual_tokens, path):
    torch.save(dict(state_dict=model.state_dict()), path)
    backbone = VPTMBackbone(
        encoder,
        prompt_length=0,
        visual_token='logits',
        num_visual_tokens=num_visual_tokens,
        init_cfg=dict(type='Pretrained', checkpoint=str(path)),
    )
    side = encoder['img_size'] // encoder['patch_size']
    torch.manual_seed(0)
    images = torch.randn(2, 3, encoder['img_size'], encoder['img_size'])
    mask = (torch.rand(2, side, side) < 0.4).long()
    with torch.no_grad():
        hidden, logits = host_states(model, images, mask)
        ours = backbone.encoder(images, mask)[:, 1:]
        assert (ours - hidden).abs().max() <= 1e-5
        difference = backbone.encoder.token_predictor(ours) - logits
    assert difference.abs().max() <= 1e-5


def test_equals_the_host_where_masks_replace_patches(
    pretraining_model, tmp_path
):
    check_against_host(
        pretraining_model, ENCODER, NUM_VISUAL_TOKENS, tmp_path / 'tiny.pth'
    )


@pytest.mark.parametrize('mask_bias', ['grid', 'zero', 'cls'])
def test_added_tokens_equal_a_sequence_built_by_hand(build, images, mask_bias):
    """The whole forward, written out on the host's blocks."""
    backbone = build(prompt_blocks=(1, 2), mask_bias=mask_bias, mask_grid=2)
    encoder, prompts = backbone.encoder, backbone.tuning.prompt_tokens.prompts
    table = encoder.rel_pos_bias.relative_position_bias_table
    with torch.no_grad():
        patches, _ = encoder.patch_embed(images)
        tokens = torch.cat(
            [
                encoder.cls_token.expand(2, -1, -1),
                patches,
                encoder.mask_token.expand(2, 4, -1),
            ],
            1,
        )
        tokens = encoder.layers[0](tokens, backbone.sequence.plain_bias(table))
        for block in (1, 2):
            head, tail = tokens[:, :17], tokens[:, -4:]
            added = prompts[block - 1].expand(2, -1, -1)
            tokens = torch.cat([head, added, tail], 1)
            tokens = encoder.layers[block](
                tokens, backbone.sequence.prompted_bias(table)
            )
        expected = encoder.ln1(tokens)[:, -4:].flatten(1)
        (ours,) = backbone(images)
    torch.testing.assert_close(ours, expected)
    # The bias has the kind of token that was asked for.
    bias = backbone.sequence.plain_bias(table)
    rows = {'zero': torch.zeros_like(table[0]), 'cls': table[-3]}
    if mask_bias in rows:
        assert torch.equal(bias[:, -1, 5], rows[mask_bias])
    else:
        assert not torch.equal(bias[:, -1, 5], bias[:, -1, 6])


@pytest.mark.parametrize('prompt_blocks', [(0,), (1,), range(3)])
@pytest.mark.parametrize('prompt_bias', ['zero', 'cls'])
def test_prompt_location_cannot_change_the_result(
    build, images, prompt_blocks, prompt_bias
):
    plain = build(prompt_length=0, mask_grid=2)(images)[0]
    prompts = torch.randn(len(prompt_blocks), 3, 16)
    outputs = []
    for location in ('after_cls', 'after_patches', 'after_mask'):
        backbone = build(
            prompt_location=location,
            prompt_blocks=prompt_blocks,
            prompt_bias=prompt_bias,
            mask_grid=2,
        )
        backbone.tuning.prompt_tokens.prompts.data.copy_(prompts)
        outputs.append(backbone(images)[0])
    torch.testing.assert_close(outputs[1], outputs[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outputs[2], outputs[0], atol=1e-5, rtol=1e-5)
    assert (outputs[0] - plain).abs().max() > 1e-3


def test_logits_are_log_probabilities_of_the_token_predictor(build, images):
    hidden = build(prompt_length=0)
    logits = build(prompt_length=0, visual_token='logits')
    predictor = logits.encoder.token_predictor
    expected = predictor(hidden(images)[0]).log_softmax(-1)
    torch.testing.assert_close(logits(images)[0], expected)
    total = logits(images)[0].exp().sum(1)
    torch.testing.assert_close(total, torch.ones(2))


def test_each_parameter_is_tuned_or_frozen(build):
    backbone = build(visual_token='logits', prompt_blocks=range(3))
    tuned = set(trainable_parameters(backbone))
    frozen = {
        name
        for name, _ in backbone.named_parameters()
        if name.startswith('encoder.')
    }
    assert tuned == {'tuning.prompt_tokens.prompts'}
    assert not tuned & frozen
    assert tuned | frozen == {n for n, _ in backbone.named_parameters()}


def test_frozen_modules_stay_in_eval(build, images):
    encoder = dict(ENCODER, drop_rate=0.5, drop_path_rate=0.5)
    backbone = build(encoder=encoder, visual_token='logits')
    assert backbone.train() is backbone
    assert backbone.training
    assert not any(m.training for m in backbone.encoder.modules())
    assert not backbone.encoder.token_predictor.training
    assert torch.equal(backbone(images)[0], backbone(images)[0])


def test_one_optimizer_step_changes_what_is_tuned_and_nothing_else(
    build, images
):
    backbone = build(visual_token='logits', prompt_blocks=(0, 2)).train()
    before = copy.deepcopy(backbone.state_dict())
    optimizer = torch.optim.AdamW(
        trainable_parameters(backbone).values(), lr=0.1
    )
    backbone(images)[0].square().sum().backward()
    optimizer.step()
    for name, tensor in backbone.state_dict().items():
        if name == 'prompt_tokens.prompts':
            assert (tensor != before[name]).flatten(1).any(1).all()
        else:
            assert torch.equal(tensor, before[name]), name


def test_prompt_gradients_match_finite_differences(build):
    backbone = build(prompt_length=1, prompt_blocks=(0, 2)).double()
    image = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    prompts = backbone.tuning.prompt_tokens.prompts

    def output(values):
        return torch.func.functional_call(
            backbone, {'tuning.prompt_tokens.prompts': values}, (image,)
        )[0]

    assert torch.autograd.gradcheck(
        output, prompts.detach().requires_grad_(), atol=1e-6
    )


def test_blocks_before_the_first_prompted_one_keep_no_graph(build, images):
    backbone = build(prompt_blocks=(2,))
    seen = []
    for layer in backbone.encoder.layers:
        layer.ln2.register_forward_pre_hook(
            lambda _module, args: seen.append(args[0].requires_grad)
        )
    backbone(images)
    assert seen == [False, False, True]


def test_bfloat16_autocast(build, images):
    backbone = build()
    (plain,) = backbone(images)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (mixed,) = backbone(images)
    # bfloat16 keeps 8 bits: 1 in 256 a rounding, over three blocks.
    assert (mixed.float() - plain).abs().max() < 0.1 * plain.abs().max()


def test_the_encoder_of_a_pretraining_config(build, images):
    """There the final norm stands in the neck."""
    encoder = dict(ENCODER, final_norm=False)
    assert torch.equal(build(encoder=encoder)(images)[0], build()(images)[0])


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.7'),
    reason="torch 2.6 cannot trace mmengine's wrapper of the MLP",
)
def test_compiles_in_one_graph(build, images):
    backbone = build(prompt_blocks=(1, 2), visual_token='logits')
    compiled = torch.compile(backbone, backend='aot_eager', fullgraph=True)
    torch.testing.assert_close(compiled(images)[0], backbone(images)[0])


def test_initial_prompts_are_seeded_and_scaled_like_the_mask_token(build):
    first, second = build(prompt_length=200), build(prompt_length=200)
    prompts = first.tuning.prompt_tokens.prompts
    assert torch.equal(prompts, second.tuning.prompt_tokens.prompts)
    assert not torch.equal(
        prompts, build(seed=1, prompt_length=200).tuning.prompt_tokens.prompts
    )
    scale = first.encoder.mask_token.std()
    assert prompts.std().item() == pytest.approx(scale.item(), rel=0.1)


def test_prompts_may_start_near_the_mask_token(build):
    prompts = build(prompt_length=200, prompt_init='mask')
    mask_token = prompts.encoder.mask_token.flatten()
    prompts = prompts.tuning.prompt_tokens.prompts[0]
    scale = mask_token.std().item()
    torch.testing.assert_close(
        prompts.mean(0), mask_token, rtol=0, atol=scale / 8
    )
    assert (prompts - mask_token).std().item() == pytest.approx(
        0.3 * scale, rel=0.1
    )
    with pytest.raises(ValueError, match="prompt_init='zero' must be one of"):
        build(prompt_init='zero')


def test_beitvit_with_a_shared_bias_is_the_same_backbone(build, images):
    encoder = dict(
        ENCODER,
        type='BEiTViT',
        use_rel_pos_bias=False,
        use_shared_rel_pos_bias=True,
    )
    ours = build(encoder=encoder)(images)[0]
    assert torch.equal(ours, build()(images)[0])


def test_deep_copies_and_state_dicts_carry_the_weights(build, images):
    backbone = build()
    (expected,) = backbone(images)
    assert torch.equal(copy.deepcopy(backbone)(images)[0], expected)
    other = build(init_cfg=None)
    other.load_state_dict(backbone.state_dict())
    assert torch.equal(other(images)[0], expected)


def test_refuses_to_run_without_weights(build, images):
    backbone = build(init_cfg=None)
    with pytest.raises(RuntimeError, match='no pre-trained weights; set init'):
        backbone(images)
    prompts = {'prompt_tokens.prompts': torch.zeros(1, 3, 16)}
    backbone.load_state_dict(prompts, strict=False)
    with pytest.raises(RuntimeError, match='no pre-trained weights'):
        backbone(images)


@pytest.mark.parametrize('loaded', [False, True])
def test_two_backbones_are_never_mixed(build, loaded):
    options = {} if loaded else dict(init_cfg=None)
    backbone = build(**options)
    incomplete = build().state_dict()
    del incomplete['encoder.ln1.weight']
    message = r"51 of 52 frozen tensors.*\['encoder.ln1.weight'\]"
    with pytest.raises(ValueError, match=message):
        backbone.load_state_dict(incomplete, strict=False)
    misshapen = build().state_dict()
    misshapen['encoder.ln1.weight'] = torch.zeros(3)
    with pytest.raises(ValueError, match=message):
        backbone.load_state_dict(misshapen, strict=False)


def test_initialisers_of_a_parent_cannot_change_it(checkpoint):
    pretrained = dict(type='Pretrained', checkpoint=str(checkpoint))
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(
                type='VPTMBackbone', encoder=ENCODER, init_cfg=pretrained
            ),
            head=dict(type='LinearClsHead', num_classes=5, in_channels=16),
            init_cfg=dict(type='TruncNormal', layer='Linear', std=20.0),
        )
    )
    before = copy.deepcopy(model.backbone.state_dict())
    model.init_weights()
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize(
    'shape', [(1, 3, 32, 32), (1, 3, 16, 20), (1, 1, 16, 16), (3, 16, 16)]
)
def test_wrong_input(build, shape):
    with pytest.raises(
        ValueError, match=r'must be \(B, 3, 16, 16\); resize or crop'
    ):
        build()(torch.randn(shape))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(prompt_length=-1),
            'prompt_length=-1 must be an int >= 0',
        ),
        (
            dict(visual_token='logits', num_visual_tokens=None),
            "visual_token='logits' needs num_visual_tokens",
        ),
        (dict(with_cp='no'), "with_cp='no' must be True or False"),
        (dict(prompt_blocks=(3,)), r'prompt_blocks=\(3,\) must be in 0..2'),
        (dict(prompt_location='end'), "prompt_location='end' must be one of"),
        (dict(visual_token='x'), "visual_token='x' must be one of"),
        (dict(mask_grid=5), r'mask_grid=5 must be an int in 1..4'),
        (dict(init_cfg=dict(type='Normal')), 'init_cfg=.*Pretrained'),
        (
            dict(encoder=dict(ENCODER, use_abs_pos_emb=True)),
            'no absolute position embedding',
        ),
        (
            dict(encoder=dict(ENCODER, type='BEiTViT')),
            'use_shared_rel_pos_bias=True',
        ),
        (
            dict(encoder=dict(type='ResNet', depth=18)),
            'must be BEiTPretrainViT or BEiTViT',
        ),
        (dict(encoder=dict(ENCODER, img_size=(16, 8))), 'must be square'),
        (dict(encoder=dict(arch='base')), 'encoder.type=None must be'),
    ],
)
def test_bad_options(build, options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_blocks_that_are_no_list(build):
    with pytest.raises(
        TypeError, match=r'prompt_blocks=2 must be a list, as \(2,\)'
    ):
        build(prompt_blocks=2)


@pytest.mark.parametrize('head', ['LinearClsHead', 'ArcFaceClsHead'])
def test_composes_with_the_hosts_heads(checkpoint, images, head):
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(
                type='VPTMBackbone',
                encoder=ENCODER,
                init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
            ),
            head=dict(type=head, num_classes=5, in_channels=16),
        )
    )
    samples = [DataSample().set_gt_label(label) for label in (0, 4)]
    losses = model.loss(images, samples)
    losses['loss'].backward()
    assert model.backbone.tuning.prompt_tokens.prompts.grad.abs().sum() > 0
    assert model.predict(images)[0].pred_score.shape == (5,)


@pytest.mark.parametrize(
    ('options', 'width'),
    [
        (dict(readout='cls'), 16),
        (dict(readout='patches'), 16),
        (dict(readout='patches', pool_grid=2), 64),
    ],
)
def test_frozen_features_read_off_the_host(
    pretraining_model, checkpoint, images, options, width
):
    backbone = FrozenFeatures(
        ENCODER,
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
        **options,
    )
    (feature,) = backbone(images)
    assert feature.shape == (2, width)
    assert not trainable_parameters(backbone)
    latent = pretraining_model.backbone(images, torch.zeros(2, 4, 4))
    states = pretraining_model.neck.norm(latent[1])
    if options['readout'] == 'cls':
        expected = states[:, 0]
    else:
        grid = states[:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
        side = 4 // options.get('pool_grid', 1)
        expected = torch.nn.functional.avg_pool2d(grid, side).flatten(1)
    torch.testing.assert_close(feature, expected, atol=1e-5, rtol=1e-5)
