"""[CLS] that predicts what a teacher says of the whole image."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from ..conftest import ROOT

MINI = ROOT / 'configs' / 'pretrain' / 'beitv2-mini_tinyimagenet.py'


@pytest.fixture
def cfg():
    """The model of the mini config, with two small blocks."""
    init_default_scope('mmpretrain')
    model = Config.fromfile(MINI).model
    small = dict(embed_dims=12, num_layers=2, depth=2, feedforward_channels=12)
    for arch in (model.backbone.arch, model.neck.backbone_arch):
        arch.update(small)
    model.backbone.out_indices = [0, 1]
    model.neck.update(num_layers=1, early_layers=1)
    model.head.update(embed_dims=12, num_embed=7)
    model.target_generator.num_visual_tokens = 7
    model.image_dims = 5
    return model


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 3, 64, 64, generator=generator)
    ids = torch.randint(0, 7, (3, 1, 8, 8), generator=generator)
    samples = []
    for _ in images:
        sample = DataSample()
        sample.set_mask(torch.rand(8, 8, generator=generator) < 0.4)
        sample.set_field(torch.randn(5, generator=generator), 'image_feature')
        samples.append(sample)
    return [images, ids.expand(-1, 3, -1, -1).float()], samples


def test_the_hosts_losses_and_the_distance_of_cls(cfg, batch):
    model = MODELS.build(cfg).eval()
    losses = model.loss(*batch)
    hosts = super(type(model), model).loss(*batch)
    assert losses.keys() - hosts.keys() == {'loss_cls'}
    for name, loss in hosts.items():
        torch.testing.assert_close(losses[name], loss)
    (images, _), samples = batch
    mask = torch.stack([sample.mask for sample in samples])
    cls_token = model.neck.norm(model.backbone(images, mask)[-1])[:, 0]
    targets = torch.stack([sample.image_feature for sample in samples])
    cosine = F.cosine_similarity(model.distillation_head(cls_token), targets)
    torch.testing.assert_close(
        losses['loss_cls'], cfg.distillation_weight * (1 - cosine.mean())
    )


def test_vectors_have_a_width(cfg):
    with pytest.raises(ValueError, match='image_dims=0 must be'):
        MODELS.build(dict(cfg, image_dims=0))
