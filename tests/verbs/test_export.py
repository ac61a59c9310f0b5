"""``vptm export`` as a user runs it, from a foreign folder.

That an ONNX file says what tools/predict.py says is shown by
tests/exporting/test_example.py.
"""

import json

import pytest
import torch
from mmengine.config import Config
from mmpretrain import get_model
from mmpretrain.datasets import build_dataset

from vptm_mm.tasks import load_classifier, make_task, write_task

from ..exporting.conftest import needs_export
from .test_tools import DIGITS
from .vptm import vptm

NAMES = [f'digit {i}' for i in range(10)]


@pytest.fixture(scope='module')
def task(tmp_path_factory):
    """A task file of an untrained model."""
    path = tmp_path_factory.mktemp('elsewhere') / 'task.safetensors'
    cfg = Config.fromfile(DIGITS)
    torch.manual_seed(0)
    write_task(make_task(get_model(cfg), cfg, NAMES), path)
    return path


@pytest.fixture
def export(tmp_path, monkeypatch, capsys):
    """Run the command in this process; return what it printed."""

    def _export(*args):
        monkeypatch.chdir(tmp_path)
        assert vptm('export', *args) == 0
        return capsys.readouterr().out

    return _export


@needs_export
def test_pt2_takes_prepared_images(task, export, tmp_path):
    shown = export(
        *(DIGITS, task, '--format', 'pt2', '--out', 'digits.pt2'),
        *('--cfg-options', 'test_dataloader.dataset.indices=3'),
    )
    assert 'digits.pt2: ' in shown
    assert '10 classes, torch.export' in shown
    assert '3 images of the test set: max difference' in shown
    model = load_classifier(DIGITS, task)
    dataset = build_dataset(Config.fromfile(DIGITS).test_dataloader.dataset)
    images = torch.stack([sample['inputs'] for sample in dataset])
    prepared = model.data_preprocessor(dict(inputs=images))['inputs']
    extra = {'vptm_mm.json': ''}
    program = torch.export.load(tmp_path / 'digits.pt2', extra_files=extra)
    with torch.no_grad():
        scores, expected = program.module()(prepared), model(prepared)
    assert len(scores) == 360
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=0)
    about = json.loads(extra['vptm_mm.json'])
    assert about['classes'] == NAMES
    assert about['pipeline'][0]['type'] == 'Resize'


@needs_export
def test_a_file_that_differs_is_not_kept(task, export, tmp_path):
    """Without a data set, too: random images then stand in."""
    pytest.importorskip('onnxscript')
    (tmp_path / 'mine.py').write_text(
        f"""
_base_ = {str(DIGITS)!r}
test_dataloader = dict(
    dataset=dict(_delete_=True, type='CustomDataset', data_root='gone',
                 pipeline=[dict(type='PackInputs')])
)
"""
    )
    with pytest.raises(RuntimeError, match='a.onnx was not kept: its scores'):
        export(
            *('mine.py', task, '--format', 'onnx', '--out', 'a.onnx'),
            *('--tolerance', '1e-12'),
        )
    assert [path.name for path in tmp_path.iterdir()] == ['mine.py']
