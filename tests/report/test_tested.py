"""Predictions are kept, and belong to one state of one checkpoint."""

import base64
import io
import os

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from vptm_mm.report import (
    open_test_set,
    picture_uris,
    predict_test,
    read_tested,
    write_tested,
)
from vptm_mm.report.pictures import to_data_uri

from ..conftest import ROOT
from .made_run import make_tested

DIGITS = ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py'
TASK = ROOT / 'vptm_mm' / 'checkpoints' / 'vptm_beitv2-tiny_digits.safetensors'


def test_predictions_of_the_test_set():
    cfg = Config.fromfile(DIGITS)
    cfg.test_dataloader.dataset.indices = 50
    tested = predict_test(cfg, TASK, 'cpu')
    assert tested.classes == list('0123456789')
    assert tested.checkpoint == TASK.name
    assert set(tested.images) == {''}  # they come from no file
    # The task is a tuned one.
    right = tested.predicted == tested.labels
    assert right.mean() > 0.7
    assert ((tested.confidence > 0.1) & (tested.confidence <= 1)).all()
    dataset = open_test_set(cfg)
    labels = [dataset[i]['data_samples'].gt_label.item() for i in range(50)]
    assert tested.labels.tolist() == labels


def test_without_classes(monkeypatch):
    cfg = Config.fromfile(DIGITS)
    cfg.test_dataloader.dataset.indices = 2
    monkeypatch.setattr(
        'vptm_mm.visualization.predictions.true_labels', lambda samples: None
    )
    with pytest.raises(ValueError, match='2 test images have no true classes'):
        predict_test(cfg, TASK, 'cpu')


def test_a_test_set_that_is_gone(tmp_path):
    cfg = Config.fromfile(ROOT / 'configs' / 'vptm_beitv2_cub.py')
    cfg.test_dataloader.dataset.data_root = str(tmp_path / 'gone')
    with pytest.raises(FileNotFoundError, match='CUB: no .*gone'):
        open_test_set(cfg)
    with pytest.raises(ValueError, match='no test_dataloader'):
        open_test_set(Config())


def test_kept_predictions(tmp_path):
    tested = make_tested(names=['<a>', 'b', 'ç'])
    path = tmp_path / 'kept.npz'
    checkpoint = tmp_path / tested.checkpoint
    assert read_tested(path, checkpoint) is None
    checkpoint.write_bytes(b'')
    write_tested(tested, path)
    again = read_tested(path, checkpoint)
    assert again.classes == tested.classes
    assert again.checkpoint == tested.checkpoint
    assert again.images == tested.images
    for name in ('labels', 'predicted', 'confidence'):
        assert np.array_equal(getattr(again, name), getattr(tested, name))
    assert read_tested(path, None) is not None
    # A copy is the same checkpoint, whatever its time.
    later = path.stat().st_mtime + 10
    os.utime(checkpoint, (later, later))
    assert read_tested(path, checkpoint) is not None
    checkpoint.write_bytes(b'trained again')
    assert read_tested(path, checkpoint) is None


def test_damaged_predictions(tmp_path):
    path = tmp_path / 'kept.npz'
    tested = make_tested()
    write_tested(tested, path)
    whole = path.read_bytes()
    for content in (b'', b'text', whole[:-30], whole[:300]):
        path.write_bytes(content)
        assert read_tested(path, None) is None
    pickled = np.array([dict()], dtype=object)
    np.savez(path, **{**vars(tested), 'classes': pickled})
    assert read_tested(path, None) is None
    np.savez(path, labels=tested.labels)
    assert read_tested(path, None) is None


def test_the_worst_mistakes_come_first():
    tested = make_tested(num_classes=6)
    wrong = np.flatnonzero(tested.labels != tested.predicted).tolist()
    assert wrong == [4, 12, 20]
    assert tested.worst(2) == [20, 12]  # confidence grows with the index
    assert tested.worst(9) == [20, 12, 4]


def test_pictures(tmp_path):
    """Red stays red; a small image gets larger; what is gone is None."""
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

    class Folder:
        def __getitem__(self, index):
            if index == 1:
                raise FileNotFoundError('gone')
            return dict(inputs=inputs)

    uris = picture_uris(Folder(), [0, 1])
    assert uris[0].startswith('data:image/jpeg;base64,')
    assert uris[1] is None


def read_uri(uri: str) -> Image.Image:
    _, _, text = uri.partition('base64,')
    return Image.open(io.BytesIO(base64.b64decode(text))).convert('RGB')
