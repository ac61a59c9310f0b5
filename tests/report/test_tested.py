"""Predictions on the test set, and pictures of the worst mistakes."""

import base64
import io

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from vptm_mm.report.tested import predict_test, to_data_uri

from ..conftest import ROOT

DIGITS = ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py'
TASK = ROOT / 'vptm_mm' / 'checkpoints' / 'vptm_beitv2-tiny_digits.safetensors'


def test_predictions_of_the_test_set():
    cfg = Config.fromfile(DIGITS)
    cfg.test_dataloader.dataset.indices = 50
    tested = predict_test(cfg, TASK, 'cpu', 3)
    assert tested.classes == list('0123456789')
    assert tested.checkpoint == TASK.name
    # The task is a trained one.
    assert tested.right.mean() > 0.7
    wrong = np.flatnonzero(~tested.right)
    sure = [one.confidence for one in tested.mistakes]
    assert sure == sorted(sure, reverse=True)
    assert len(sure) == min(3, len(wrong))
    for one in tested.mistakes:
        index = int(one.name.removeprefix('no. '))  # they are in no file
        assert index in wrong
        assert one.true == str(tested.labels[index])
        assert one.predicted == str(tested.predicted[index])
        assert one.picture.startswith('data:image/jpeg;base64,')


def test_without_classes(monkeypatch):
    cfg = Config.fromfile(DIGITS)
    cfg.test_dataloader.dataset.indices = 2
    monkeypatch.setattr(
        'vptm_mm.visualization.predictions.true_labels', lambda samples: None
    )
    with pytest.raises(ValueError, match='2 test images have no true classes'):
        predict_test(cfg, TASK, 'cpu', 3)


def test_a_test_set_that_is_gone(tmp_path):
    cfg = Config.fromfile(ROOT / 'configs' / 'vptm_beitv2_cub.py')
    cfg.test_dataloader.dataset.data_root = str(tmp_path / 'gone')
    with pytest.raises(FileNotFoundError, match='CUB: no .*gone'):
        predict_test(cfg, TASK, 'cpu', 3)
    with pytest.raises(ValueError, match='no test_dataloader'):
        predict_test(Config(), TASK, 'cpu', 3)


def test_pictures():
    """Red stays red; a small image gets larger."""
    inputs = torch.zeros(3, 8, 4, dtype=torch.uint8)
    inputs[2] = 255  # BGR
    picture = read_uri(to_data_uri(inputs))
    assert picture.size == (56, 112)
    red, green, blue = picture.getpixel((28, 56))
    assert red > 240
    assert max(green, blue) < 15
    grey = read_uri(to_data_uri(torch.full((1, 300, 300), 128.0)))
    assert grey.size == (112, 112)
    assert abs(grey.getpixel((0, 0))[0] - 128) < 3


def read_uri(uri: str) -> Image.Image:
    _, _, text = uri.partition('base64,')
    return Image.open(io.BytesIO(base64.b64decode(text))).convert('RGB')
