"""The example says what ``vptm predict`` says."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmpretrain import get_model
from mmpretrain.registry import TRANSFORMS

from vptm_mm.tasks import make_task, write_task

from ..conftest import ROOT, load_script, random_class_means
from ..made_images import oriented
from ..verbs.vptm import vptm
from .conftest import needs_export

exported = load_script('examples', 'exported.py')

CONFIG = ROOT / 'configs' / 'vptm_beitv2-tiny_folder.py'
SHAPES = [(90, 60), (61, 97), (40, 41), (300, 77), (20, 25), (32, 32)]
NAMES = [f'class {i}' for i in range(7)]
OPTIONS = ('model.head.num_classes=7', 'data_preprocessor.num_classes=7')
SQUASHED = [
    dict(type='LoadCheckedImage'),
    dict(type='Resize', scale=(32, 32)),
    dict(type='PackInputs'),
]
CROPPED = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=36, edge='short', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=32),
    dict(type='PackInputs'),
]


def photos():
    """Coarse noise, which each way to resize leaves in its own state."""
    numbers = np.random.default_rng(0)
    for height, width in SHAPES:
        coarse = (height // 4, width // 4, 3)
        pixels = numbers.integers(0, 256, coarse, dtype=np.uint8)
        pixels = cv2.resize(pixels, (width, height), None, 0, 0, 0)
        yield cv2.imencode('.jpg', pixels)[1].tobytes()
    yield oriented()


@pytest.mark.parametrize('steps', [SQUASHED, CROPPED])
def test_prepare_does_what_the_pipeline_does(tmp_path, steps):
    pipeline = Compose([TRANSFORMS.build(step) for step in steps])
    steps = json.loads(json.dumps(steps))  # as in the file
    for content in photos():
        path = str(tmp_path / 'photo.jpg')
        Path(path).write_bytes(content)
        expected = pipeline(dict(img_path=path))['inputs'][None]
        found = exported.prepare(path, steps)
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="lacks this step: {'type': 'Pad'}"):
        exported.prepare(path, [dict(type='Pad')])


def test_a_file_of_normalised_images_is_refused(tmp_path, monkeypatch):
    about = json.dumps(dict(classes=[], pipeline=[], preprocessing=False))
    path = tmp_path / 'birds.pt2'
    program = torch.export.export(torch.nn.ReLU(), (torch.zeros(1),))
    torch.export.save(program, path, extra_files={'vptm_mm.json': about})
    with pytest.raises(SystemExit, match='without --preprocessing'):
        exported.main(str(path))


@needs_export
def test_class_and_share_are_those_of_predict(tmp_path, monkeypatch, capsys):
    pytest.importorskip('onnxruntime')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('IMAGE_FOLDER', raising=False)
    backbone = 'vptm_mm://beitv2-tiny_digits.pth'
    monkeypatch.setenv('VPTM_BEITV2_TINY', backbone)

    cfg = Config.fromfile(CONFIG)
    cfg.model.head.num_classes = cfg.data_preprocessor.num_classes = len(NAMES)
    torch.manual_seed(0)
    model = get_model(cfg).eval()
    random_class_means(model.head)
    task = make_task(model, cfg, NAMES)
    write_task(task, 'birds.safetensors')
    for form in ('onnx', 'pt2'):
        flags = ['--format', form, '--out', f'birds.{form}']
        flags += ['--preprocessing', '--cfg-options', *OPTIONS]
        assert not vptm('export', CONFIG, 'birds.safetensors', *flags)
        said = capsys.readouterr().out
        assert f'birds.{form}: 5.' in said
        assert '8 random images: max difference of a score' in said
    contents = list(photos())
    names = [f'{number}.jpg' for number in range(len(contents))]
    for name, content in zip(names, contents, strict=True):
        Path(name).write_bytes(content)
    flags = ['--task', 'birds.safetensors', '--format', 'json']
    flags += ['--out', 'said.json']
    assert not vptm('predict', *names, *flags)
    said = json.loads(Path('said.json').read_text())['predictions']
    assert len({row['top'][0]['class'] for row in said}) > 1
    for form in ('onnx', 'pt2'):
        exported.main(f'birds.{form}', *names)
        lines = capsys.readouterr().out.splitlines()
        for line, row in zip(lines, said, strict=True):
            (best,) = row['top']
            photo, _, rest = line.partition(' ')
            name, _, share = rest.rpartition(' ')
            assert (photo, name) == (row['image'], best['class'])
            assert float(share) == pytest.approx(best['confidence'], abs=1e-4)
