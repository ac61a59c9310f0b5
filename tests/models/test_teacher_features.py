"""Features of a frozen model that sees images enlarged."""

import torch
import torch.nn.functional as F

from vptm_mm.models import TeacherFeatures
from vptm_mm.models.tokenizers.feature_teacher import FeatureTeacher

from ..conftest import ENCODER


def test_averaged_features_of_enlarged_images(checkpoint):
    block = dict(
        type='BlockFeatures',
        encoder=ENCODER,
        block=1,
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
    )
    width = ENCODER['arch']['embed_dims']
    model = TeacherFeatures(block, width, image_dims=16).train()
    assert not any(p.requires_grad for p in model.parameters())
    images = torch.randn(2, 3, 8, 8)
    larger = F.interpolate(images, (16, 16), mode='bicubic', antialias=True)
    patches = FeatureTeacher(block, width, grid_size=4)(larger)
    (features,) = model(images)
    torch.testing.assert_close(features, patches.mean(1))
    # What PrefixCacheHook keeps takes the place of images.
    kept = model.run_prefix(images)
    assert torch.equal(model(kept)[0], features)
    assert kept.shape == (2, 1, model.out_channels)
    assert (
        model.frozen_sha256 == TeacherFeatures(block, width, 8).frozen_sha256
    )
