"""Keys that make runs faster or smaller, on real runs over the digits."""

from pathlib import Path

import pytest
import torch

from vptm_mm.engine import AnyDeviceRunner
from vptm_mm.nn import trainable_parameters
from vptm_mm.tasks import read_task
from vptm_mm.weights import load_file

from . import made_digits
from .made_digits import TASK, digits_runner, read_log


@pytest.fixture(autouse=True)
def _with_our_runner(monkeypatch):
    monkeypatch.setattr(made_digits, 'Runner', AnyDeviceRunner)


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made_digits, 'Runner', AnyDeviceRunner)
        runner = digits_runner(tmp_path_factory.mktemp('plain') / 'run')
        runner.train()
    return runner


def train(folder, **options):
    runner = digits_runner(folder, **options)
    runner.train()
    return runner


def test_compiled_run_equals_a_plain_one(tmp_path, plain):
    """Without a compiler: graphs are traced, and run as they are."""
    options = dict(backend='aot_eager', fullgraph=True)
    runner = train(tmp_path / 'run', compile=options)
    assert 'The backbone is compiled' in read_log(tmp_path / 'run')
    assert runner.model.backbone._compiled_call_impl is not None
    wanted = trainable_parameters(plain.model)
    for name, tensor in trainable_parameters(runner.model).items():
        difference = (tensor - wanted[name]).norm()
        assert difference <= 1e-4 * wanted[name].norm(), name
    folders = tmp_path / 'run', Path(plain.work_dir)
    files = [load_file(folder / 'epoch_1.pth') for folder in folders]
    assert files[0]['state_dict'].keys() == files[1]['state_dict'].keys()


def test_bfloat16_run(tmp_path, plain):
    """Its checkpoints and its task are those of a run in float32."""
    runner = train(tmp_path / 'run', **{'model.backbone.dtype': 'bfloat16'})
    assert runner.model.backbone.encoder.cls_token.dtype == torch.bfloat16
    states, digests = [], []
    for folder in (Path(plain.work_dir), tmp_path / 'run'):
        checkpoint = load_file(folder / 'epoch_1.pth')
        states.append(checkpoint['state_dict'])
        task = read_task(folder / TASK)
        digests.append(task.frozen_sha256)
    assert digests[0] == digests[1]
    tuned = {
        name
        for name, value in plain.model.state_dict(keep_vars=True).items()
        if value.requires_grad
    }
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert states[1][name].dtype == tensor.dtype
        equal = torch.equal(states[1][name], tensor)
        assert equal == (name not in tuned), name
    # A run in float32 goes on from it.
    options = {
        'resume': True,
        'load_from': str(tmp_path / 'run' / 'epoch_1.pth'),
        'train_cfg.max_epochs': 2,
    }
    resumed = train(tmp_path / 'run', **options)
    assert resumed.epoch == 2
