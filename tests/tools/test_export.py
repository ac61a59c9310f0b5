"""tools/export.py as a user runs it: a subprocess, from a foreign folder."""

import json

import pytest
import torch
from mmengine.config import Config
from mmpretrain import get_model
from mmpretrain.datasets import build_dataset

from vptm_mm.checkpoints import load_classifier, make_task, write_task

from ..export.conftest import needs_export
from .test_tools import DIGITS, fails, run

NAMES = [f'digit {i}' for i in range(10)]


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    """A folder with a task, all test images, and the scores of the model."""
    folder = tmp_path_factory.mktemp('elsewhere')
    cfg = Config.fromfile(DIGITS)
    torch.manual_seed(0)
    model = get_model(cfg)
    write_task(make_task(model, cfg, NAMES), folder / 'task.safetensors')
    model = load_classifier(DIGITS, folder / 'task.safetensors')
    dataset = build_dataset(cfg.test_dataloader.dataset)
    images = torch.stack([sample['inputs'] for sample in dataset])
    prepared = model.data_preprocessor(dict(inputs=images))['inputs']
    with torch.no_grad():
        return folder, images, prepared, model(prepared)


@needs_export
def test_onnx_takes_images_as_they_are(digits):
    onnxruntime = pytest.importorskip('onnxruntime')
    folder, images, _, expected = digits
    result = run(
        'export.py',
        DIGITS,
        'task.safetensors',
        *('--format', 'onnx', '--out', 'digits.onnx', '--preprocessing'),
        cwd=folder,
    )
    assert 'digits.onnx: 5.4 MB, 10 classes, opset 18' in result.stdout
    assert '8 images of the test set: max difference' in result.stdout
    session = onnxruntime.InferenceSession(str(folder / 'digits.onnx'))
    (scores,) = session.run(None, {'images': images.numpy()})
    assert len(scores) == 360
    torch.testing.assert_close(
        torch.from_numpy(scores), expected, atol=1e-4, rtol=0
    )
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata['classes']) == NAMES
    assert json.loads(metadata['pipeline'])[0]['type'] == 'Resize'


@needs_export
def test_pt2_takes_prepared_images(digits):
    folder, _, prepared, expected = digits
    result = run(
        'export.py',
        DIGITS,
        'task.safetensors',
        *('--format', 'pt2', '--out', 'digits.pt2'),
        *('--cfg-options', 'test_dataloader.dataset.indices=3'),
        cwd=folder,
    )
    assert '10 classes, torch.export' in result.stdout
    assert '3 images of the test set: max difference' in result.stdout
    extra = {'vptm_mm.json': ''}
    program = torch.export.load(folder / 'digits.pt2', extra_files=extra)
    with torch.no_grad():
        scores = program.module()(prepared)
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=0)
    assert json.loads(extra['vptm_mm.json'])['classes'] == NAMES


@needs_export
def test_a_file_that_differs_is_not_kept(digits, tmp_path):
    """Without a data set, too: random images then stand in."""
    pytest.importorskip('onnxscript')
    folder, *_ = digits
    (tmp_path / 'mine.py').write_text(
        f"""
_base_ = {str(DIGITS)!r}
test_dataloader = dict(
    dataset=dict(_delete_=True, type='CustomDataset', data_root='gone',
                 pipeline=[dict(type='PackInputs')])
)
"""
    )
    error = fails(
        'export.py',
        'mine.py',
        folder / 'task.safetensors',
        *('--format', 'onnx', '--out', 'a.onnx', '--tolerance', '1e-12'),
        cwd=tmp_path,
    )
    assert 'RuntimeError: a.onnx was not kept: its scores differ' in error
    assert [path.name for path in tmp_path.iterdir()] == ['mine.py']
