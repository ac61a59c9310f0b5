"""Weights say how images were normalised; another way is warned of."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MMLogger
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import MODELS
from safetensors.torch import save_file
from torch import nn

from vptm_mm.engine import CheckpointCheckHook
from vptm_mm.pretraining import ExportWeightsHook
from vptm_mm.tasks import VPTMTaskPool, load_classifier
from vptm_mm.weights import preprocessing_of
from vptm_mm.weights.preprocessing import (
    HALF,
    IMAGENET,
    Preprocessing,
    trained_with,
)

from ..conftest import to_microsoft
from ..made_tasks import make_config, task_of
from .test_pretrained import load

OTHER = Preprocessing((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), False)


@pytest.mark.parametrize(
    ('name', 'layout', 'dropped', 'meta', 'expected'),
    [
        ('a.pth', 'Microsoft', ['cls_pt_layers.0.gamma_1'], {}, IMAGENET),
        ('beit_base_patch16_224_pt22k.pth', 'Microsoft', [], {}, HALF),
        ('beitv2_base_patch16_224_pt1k.pth', 'Microsoft', [], {}, IMAGENET),
        ('model.safetensors', 'transformers', [], {}, HALF),
        ('epoch_300.pth', 'MMPretrain', [], {}, IMAGENET),
        ('epoch_3.pth', 'VPTM', [], {}, None),
        (
            'mine.pth',
            'MMPretrain',
            [],
            dict(data_preprocessor=OTHER._asdict()),
            OTHER,
        ),
        (
            'mine.safetensors',
            'MMPretrain',
            [],
            dict(
                data_preprocessor='{"mean": [1, 2, 3], "std": [4, 5, 6], '
                '"to_rgb": false}'
            ),
            OTHER,
        ),
    ],
)
def test_what_is_known(name, layout, dropped, meta, expected):
    assert trained_with(Path(name), layout, dropped, meta) == expected


def test_the_first_beit_says_so(pretraining_model, tmp_path, log):
    """Of the same architecture, without auxiliary layers."""
    state = to_microsoft(pretraining_model.state_dict())
    state = {k: v for k, v in state.items() if not k.startswith('cls_pt_')}
    save_file(
        {k: v.clone() for k, v in state.items()}, tmp_path / 'a.safetensors'
    )
    assert load(tmp_path / 'a.safetensors').trained_with == HALF
    assert f'trained with {HALF}' in log[-1]


def test_what_is_exported_says_it(pretraining_model, tmp_path):
    preprocessor = MODELS.build(
        dict(
            type='TwoNormDataPreprocessor',
            **OTHER._asdict(),
            second_mean=[0.0] * 3,
            second_std=[1.0] * 3,
        )
    )
    pretraining_model.data_preprocessor, kept = (
        preprocessor,
        pretraining_model.data_preprocessor,
    )
    runner = SimpleNamespace(
        rank=0,
        model=pretraining_model,
        work_dir=str(tmp_path),
        logger=logging.getLogger('none'),
        hooks=[],
    )
    ExportWeightsHook('a.pth').after_train(runner)
    pretraining_model.data_preprocessor = kept
    assert load(tmp_path / 'a.pth').trained_with == OTHER


def test_rounding_is_no_difference():
    other = IMAGENET._replace(mean=(123.68, 116.28, 103.53))
    assert other.is_like(IMAGENET)
    assert not HALF.is_like(IMAGENET)
    assert not IMAGENET._replace(to_rgb=False).is_like(IMAGENET)
    assert not Preprocessing((127.5,), (127.5,), True).is_like(HALF)
    assert preprocessing_of(ClsDataPreprocessor()) is None
    assert preprocessing_of(nn.Identity()) is None


@pytest.fixture
def warnings(monkeypatch) -> list[str]:
    lines: list[str] = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'warning', lines.append)
    return lines


@pytest.mark.parametrize(
    ('preprocessing', 'message'),
    [
        (IMAGENET._asdict(), None),
        (HALF._asdict(), f'with {IMAGENET}, and the images go in with {HALF}'),
        ({}, f'with {IMAGENET}, and the images go in as they are, 0-255 and'),
    ],
)
def test_another_way_is_warned_of(
    checkpoint, tmp_path, warnings, preprocessing, message
):
    """By training and testing, by loading, and by the pool of predict."""
    config = make_config(checkpoint)
    config.data_preprocessor = preprocessing
    built = MODELS.build(
        {**config.model, 'data_preprocessor': preprocessing or None}
    )
    CheckpointCheckHook().before_run(SimpleNamespace(model=built))
    torch.save(dict(state_dict=built.state_dict()), tmp_path / 'a.pth')
    model = load_classifier(config, tmp_path / 'a.pth')
    pool = VPTMTaskPool(
        config.model.backbone.encoder,
        init_cfg=config.model.backbone.init_cfg,
    )
    pool.add(task_of(model), 'a')
    found = [line for line in warnings if 'was pre-trained with' in line]
    assert len(found) == (3 if message else 0)
    for line in found:
        assert message in line
        assert '\n' not in line
