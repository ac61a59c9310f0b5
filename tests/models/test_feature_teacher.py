"""Block features, teachers, and tokens that are groups of features."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import Sequential
from mmpretrain.registry import MODELS

from vptm_mm.models import BlockFeatures, FeatureKMeansTokenizer
from vptm_mm.models.tokenizers.feature_teacher import FeatureTeacher

from ..conftest import ENCODER

VIT = dict(
    type='VisionTransformer',
    arch=dict(
        embed_dims=16,
        num_layers=2,
        num_heads=2,
        feedforward_channels=32,
    ),
    img_size=16,
    patch_size=4,
    out_type='featmap',
)


def pretrained(path) -> dict:
    return dict(type='Pretrained', checkpoint=str(path))


@pytest.fixture
def block_features(checkpoint):
    return dict(
        type='BlockFeatures',
        encoder=ENCODER,
        block=1,
        init_cfg=pretrained(checkpoint),
    )


@pytest.fixture
def vit_file(tmp_path):
    torch.manual_seed(0)
    model = MODELS.build(VIT)
    model.init_weights()
    state = {f'backbone.{k}': v for k, v in model.state_dict().items()}
    state['head.layers.head.weight'] = torch.zeros(3, 16)
    torch.save(dict(state_dict=state), tmp_path / 'vit.pth')
    return tmp_path / 'vit.pth'


@pytest.mark.parametrize('block', [0, 1, 2])
def test_states_of_a_block_are_the_hosts(block, checkpoint, pretraining_model):
    features = BlockFeatures(ENCODER, block, init_cfg=pretrained(checkpoint))
    images = torch.randn(2, 3, 16, 16)
    host = pretraining_model.backbone
    hooked = []
    handle = host.layers[block].register_forward_hook(
        lambda module, args, output: hooked.append(output)
    )
    host(images, torch.zeros(2, 4, 4))
    handle.remove()
    expected = hooked[0][:, 1:].transpose(1, 2).reshape(2, 16, 4, 4)
    torch.testing.assert_close(features(images)[0], expected)


def test_tokens_are_groups_of_states(block_features):
    torch.manual_seed(0)
    tokenizer = FeatureKMeansTokenizer(6, block_features, 16, grid_size=4)
    images = torch.randn(40, 3, 16, 16)
    described = tokenizer.describe(images)  # (B, N, E)
    states = tokenizer.teacher(images)
    torch.testing.assert_close(described, F.layer_norm(states, [16]))
    tokenizer.fit([described.flatten(0, 1)])
    nearest = torch.cdist(described, tokenizer.codebook[None]).argmin(-1)
    assert torch.equal(tokenizer(images), nearest)
    assert len(nearest.unique()) == 6


def fitted(teacher: dict, images: torch.Tensor, seed: int):
    tokenizer = FeatureKMeansTokenizer(6, teacher, 16, grid_size=4, seed=seed)
    tokenizer.fit([tokenizer.describe(images).flatten(0, 1)])
    return tokenizer


def test_a_state_brings_codebook_and_teacher(block_features, tmp_path):
    torch.manual_seed(0)
    images = torch.randn(40, 3, 16, 16)
    tokenizer = fitted(block_features, images, seed=0)
    torch.save(tokenizer.state_dict(), tmp_path / 'state.pth')
    read = FeatureKMeansTokenizer(6, block_features, 16, grid_size=4)
    assert not read.is_fitted
    read.load_state_dict(torch.load(tmp_path / 'state.pth'))
    read.init_weights()  # the teacher is the same
    assert read.is_fitted
    assert torch.equal(read(images), tokenizer(images))


def test_the_teacher_is_frozen_whatever_train_says(block_features):
    tokenizer = FeatureKMeansTokenizer(6, block_features, 16, grid_size=4)
    tokenizer.train()
    assert not tokenizer.teacher.backbone.training
    assert not any(p.requires_grad for p in tokenizer.parameters())


def test_a_model_of_the_host_is_a_teacher(vit_file):
    torch.manual_seed(1)
    cfg = {**VIT, 'init_cfg': pretrained(vit_file)}
    teacher = FeatureTeacher(cfg, 16, grid_size=2)
    file = torch.load(vit_file)['state_dict']
    weight = teacher.backbone.state_dict()['layers.1.ffn.layers.1.weight']
    assert torch.equal(weight, file['backbone.layers.1.ffn.layers.1.weight'])
    images = torch.randn(2, 3, 16, 16)
    (grid,) = teacher.backbone(images)  # 4 x 4 patches, 2 x 2 are described
    first = grid[:, :, :2, :2].mean((2, 3))
    features = teacher(images)
    assert features.shape == (2, 4, 16)
    torch.testing.assert_close(features[:, 0], first)


def test_initialisation_keeps_the_teacher(vit_file):
    cfg = {**VIT, 'init_cfg': pretrained(vit_file)}
    teacher = FeatureTeacher(cfg, 16, grid_size=4)
    before = teacher.backbone.layers[0].attn.qkv.weight.clone()
    init_cfg = dict(type='TruncNormal', layer='Linear', std=20.0)
    Sequential(teacher, init_cfg=init_cfg).init_weights()
    assert torch.equal(teacher.backbone.layers[0].attn.qkv.weight, before)


def test_a_file_that_lacks_tensors_is_refused(vit_file):
    file = torch.load(vit_file)
    del file['state_dict']['backbone.layers.0.attn.qkv.weight']
    torch.save(file, vit_file)
    cfg = {**VIT, 'init_cfg': pretrained(vit_file)}
    with pytest.raises(ValueError, match=r'- layers\.0\.attn\.qkv\.weight'):
        FeatureTeacher(cfg, 16, grid_size=4)


@pytest.mark.parametrize(
    ('cfg', 'message'),
    [
        (VIT, r'init_cfg=None of the teacher VisionTransformer must be'),
        (
            dict(type='TIMMBackbone', model_name='resnet10t'),
            'a teacher needs weights: set pretrained=True',
        ),
        (dict(type='Nothing'), "backbone.type='Nothing' is not registered"),
    ],
)
def test_a_teacher_without_weights_is_refused(cfg, message):
    with pytest.raises(ValueError, match=message):
        FeatureTeacher(cfg, 16, grid_size=4)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(embed_dims=17, grid_size=4), r'expected \(B, 17, k \* 4'),
        (dict(embed_dims=16, grid_size=3), r'expected \(B, 16, k \* 3'),
    ],
)
def test_a_map_of_another_shape_is_refused(options, message, block_features):
    teacher = FeatureTeacher(block_features, **options)
    with pytest.raises(ValueError, match=message):
        teacher(torch.randn(1, 3, 16, 16))


@pytest.fixture
def timm_teacher(tmp_path):
    """A model of timm, and how its file is read as a teacher."""
    import timm

    torch.manual_seed(0)
    model = timm.create_model('resnet10t')
    # The last norm of a block starts at 0, which hides its convolutions.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)

    def read(state: dict) -> FeatureTeacher:
        torch.save(state, tmp_path / 'model.pth')
        cfg = dict(
            type='TIMMBackbone',
            model_name='resnet10t',
            features_only=True,
            out_indices=(3,),
            pretrained=True,
            pretrained_cfg_overlay=dict(file=str(tmp_path / 'model.pth')),
        )
        return FeatureTeacher(cfg, 256, grid_size=2)

    return model.eval(), read


@pytest.mark.needs('timm')
def test_a_teacher_of_timm(timm_teacher):
    model, read = timm_teacher
    images = torch.randn(1, 3, 32, 32)
    features = read(model.state_dict())(images)
    expected = model.forward_intermediates(images)[1][3]
    torch.testing.assert_close(features, expected.flatten(2).transpose(1, 2))


@pytest.mark.needs('timm')
def test_a_file_that_does_not_fit_timm(timm_teacher):
    model, read = timm_teacher
    state = model.state_dict()
    prefixed = {f'backbone.{name}': state[name] for name in state}
    with pytest.raises(ValueError, match=r'lacks \d+ tensors .*of timm'):
        read(prefixed)
    # What starts with a constant: norms, and their statistics.
    for lost in ('layer3.0.conv1.weight', 'bn1.weight', 'bn1.running_mean'):
        rest = {k: v for k, v in state.items() if k != lost}
        with pytest.raises(ValueError, match=rf'model\.pth lacks 1 .* {lost}'):
            read(rest)
