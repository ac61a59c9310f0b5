"""Task files and a slim checkpoint of before the parts: read, same scores.

``tests/fixtures`` holds them and what their classifiers said then, on the
images below. Version 0.1.0 of 2026-11-29 made them, with packaged weights.
"""

import json

import pytest
import torch
from mmengine.config import Config

from vptm_mm.tasks import load_classifier, read_task

from ..conftest import ROOT

FIXTURES = ROOT / 'tests' / 'fixtures'
SCORES = json.loads((FIXTURES / 'scores.json').read_text())
IMAGES = torch.linspace(-2, 2, 2 * 3 * 32 * 32).view(2, 32, 32, 3)
IMAGES = IMAGES.permute(0, 3, 1, 2).sin() * 2


def check(model, name):
    with torch.no_grad():
        scores = model(IMAGES)
    expected = torch.tensor(SCORES[name])
    torch.testing.assert_close(scores, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize('name', ['vptm', 'lora', 'gatevpt'])
def test_a_task_file(name):
    task = read_task(FIXTURES / f'{name}.task.safetensors')
    check(load_classifier(task), name)


def test_a_slim_checkpoint():
    config = Config.fromfile(ROOT / 'configs/vptm_beitv2-tiny_digits.py')
    config.model.backbone.update(prompt_length=2, prompt_location='after_cls')
    config.model.head.update(prototype_dim=4)
    path = FIXTURES / 'slim_checkpoint.pth'
    check(load_classifier(config, path), 'slim')
    config.model.backbone.encoder.layer_cfgs = dict(act_cfg=dict(type='ReLU'))
    with pytest.raises(ValueError, match='encoder of another configuration'):
        load_classifier(config, path)
