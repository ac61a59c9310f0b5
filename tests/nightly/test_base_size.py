"""The encoder of BEiT v2 base against MMPretrain's own."""

import torch

from ..conftest import make_pretraining_model
from ..models.test_vptm_backbone import check_against_host

BASE = dict(
    embed_dims=768,
    num_layers=12,
    depth=12,
    num_heads=12,
    feedforward_channels=3072,
)


def test_equals_the_host_at_base_size(tmp_path):
    torch.manual_seed(0)
    model = make_pretraining_model(BASE, 224, 16, num_visual_tokens=8192)
    # Random weights of this size need the scale of real ones.
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(std=0.02)
    encoder = dict(
        type='BEiTPretrainViT', arch='base', img_size=224, patch_size=16
    )
    check_against_host(model, encoder, 8192, tmp_path / 'base.pth')
