"""Classifiers on the tiny checkpoint, and images as a pipeline leaves them."""

import pytest
import torch
from mmengine.utils import digit_version
from mmpretrain.registry import MODELS

from vptm_mm.exporting.export_file import TORCH_NEEDED
from vptm_mm.models import FrozenFeatures

from ..conftest import ENCODER

needs_export = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version(TORCH_NEEDED),
    reason=f'export needs torch >= {TORCH_NEEDED}',
)

NUM_CLASSES = 5
MEAN = [123.675, 116.28, 103.53]
STD = [58.395, 57.12, 57.375]


@pytest.fixture
def classifier_on(build, checkpoint):
    """Build a classifier: options are the backbone's, or the head's."""

    def _classifier_on(
        backbone='VPTMBackbone', head='PrototypeVerbalizerHead', **options
    ):
        if backbone == 'VPTMBackbone':
            built = build(**options)
            width = built.out_channels
        else:
            init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint))
            built = FrozenFeatures(ENCODER, init_cfg=init_cfg, **options)
            width = built.out_channels
        if isinstance(head, str):
            head = dict(type=head)
        torch.manual_seed(1)
        model = MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=built,
                head=dict(num_classes=NUM_CLASSES, in_channels=width, **head),
                data_preprocessor=dict(mean=MEAN, std=STD, to_rgb=True),
            )
        )
        return model.eval()

    return _classifier_on


@pytest.fixture
def photos() -> torch.Tensor:
    """uint8 images in BGR order, ``(5, 3, 16, 16)``."""
    seed = torch.Generator().manual_seed(2)
    return torch.randint(256, (5, 3, 16, 16), generator=seed).to(torch.uint8)


def normalised(photos: torch.Tensor) -> torch.Tensor:
    """What MMPretrain's data preprocessor computes, written by hand."""
    rgb = photos[:, [2, 1, 0]].float()
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    return (rgb - mean) / std
