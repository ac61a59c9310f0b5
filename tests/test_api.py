"""The five names of ``vptm_mm``; docs/python.md is run by .ci/run."""

import pytest
import torch
from PIL import Image

import vptm_mm
from vptm_mm.datasets import SklearnDigits
from vptm_mm.models import VPTMBackbone

TASK = 'vptm_mm://vptm_beitv2-tiny_digits.safetensors'


def test_names():
    assert set(vptm_mm.PUBLIC) <= set(dir(vptm_mm))
    assert vptm_mm.TaskPool.from_files([TASK]).tasks
    with pytest.raises(AttributeError, match="no attribute 'tune'"):
        vptm_mm.tune  # noqa: B018


def test_one_classifier_by_its_task_and_by_its_config(tmp_path):
    task = vptm_mm.read_task(TASK)
    first = vptm_mm.load_classifier(task, device='cpu')
    assert isinstance(first.backbone, VPTMBackbone)
    second = vptm_mm.load_classifier(
        'vptm_beitv2-tiny_digits', TASK, device='cpu'
    )
    images = torch.rand(2, 1, 32, 32)
    channels = first.backbone.encoder.patch_embed.projection.in_channels
    images = images.expand(-1, channels, -1, -1)
    with torch.no_grad():
        assert first(images).equal(second(images))


def test_a_folder_and_an_iterator(tmp_path):
    """A pool takes them as it takes a list of paths."""
    digits = SklearnDigits(split='test')
    for i in range(3):
        image = Image.fromarray(digits.get_data_info(i)['img'])
        image.save(tmp_path / f'{i}.png')
    pool = vptm_mm.TaskPool.from_files({'digits': TASK})
    paths = [tmp_path / f'{i}.png' for i in range(3)]
    wanted = [r['digits']['pred_class'] for r in pool.predict(paths, 'digits')]
    for images in (tmp_path, str(tmp_path), iter(paths)):
        found = pool.predict(images, 'digits', batch_size=2)
        assert [r['digits']['pred_class'] for r in found] == wanted
    (one,) = pool.predict(paths[0], 'digits')
    assert one['digits']['pred_class'] == wanted[0]
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='no image below .*empty'):
        pool.predict(tmp_path / 'empty', 'digits')


def test_export_by_suffix(tmp_path):
    difference = vptm_mm.export(TASK, tmp_path / 'digits.pt2')
    assert difference < 1e-3
    assert (tmp_path / 'digits.pt2').stat().st_size > 1e6
    with pytest.raises(ValueError, match='digits.txt'):
        vptm_mm.export(TASK, tmp_path / 'digits.txt')
