"""The overlay shows the attention of the single model."""

import numpy as np
import torch

from vptm_mm.tasks import VPTMTaskPool
from vptm_mm.tasks.pool import PreparedImage
from vptm_mm.visualization import attention_maps, draw_overlay, mask_attention

from ..conftest import ENCODER
from ..made_tasks import make_classifier, task_of


def test_attention_is_that_of_the_single_models(checkpoint, images):
    """Seen in one run of the encoder for all of them."""
    options = {
        'none': dict(prompt_length=0),
        'also none': dict(prompt_length=0),
        'four masks': dict(prompt_length=3, mask_grid=2),
        'deep': dict(prompt_length=3, prompt_blocks=(0, 2)),
        'after cls': dict(prompt_length=2, prompt_location='after_cls'),
    }
    models = {k: make_classifier(checkpoint, **o) for k, o in options.items()}
    pool = VPTMTaskPool(
        ENCODER,
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
    )
    for name, model in models.items():
        pool.add(task_of(model), name)
    image = PreparedImage([images[0]], [list(models)], list(models))
    results, looks = mask_attention(pool, image)
    for name, model in models.items():
        masks, _ = attention_maps(model.backbone, images[:1])
        assert looks[name].shape == (4, 4)
        last = masks.patches[0, 2].mean(0)  # of D = 3 blocks
        torch.testing.assert_close(looks[name].flatten(), last)
        with torch.no_grad():
            label = model(images[:1]).argmax().item()
        assert results[name]['pred_label'] == label


def test_patches_that_are_looked_at_are_brighter():
    looks = torch.tensor([[0.0, 0.3], [0.1, 0.2]])
    picture = draw_overlay(np.full((8, 12, 3), 0.5), looks)
    assert picture.shape == (8, 12, 3)
    assert picture.dtype == np.uint8
    cells = picture.reshape(2, 4, 2, 6, 3)
    assert (cells == cells[:, :1, :, :1]).all()
    brightness = cells[:, 0, :, 0].astype(int).sum(-1)
    order = np.argsort(brightness.flatten())
    assert order.tolist() == [0, 2, 3, 1]


def test_the_image_is_seen_through_the_heat():
    pixels = np.zeros((4, 4, 3))
    pixels[0, 0] = 1
    picture = draw_overlay(pixels, torch.ones(2, 2))
    assert (picture[0, 0] > picture[0, 1]).all()
