"""Keys that make runs faster or smaller, on real runs over the digits."""

import pytest
import torch

from vptm_mm.bricks import tuned_parameters
from vptm_mm.checkpoints import read_task

from .test_hooks import digits_runner


@pytest.fixture
def plain(tmp_path):
    runner = digits_runner(tmp_path / 'plain')
    runner.train()
    return runner


def train(folder, **options):
    runner = digits_runner(folder, **options)
    runner.train()
    return runner


def test_compiled_run_equals_a_plain_one(tmp_path, plain):
    """``compile`` of the config, without a compiler: graphs are traced."""
    runner = train(tmp_path / 'run', **{'compile': dict(backend='aot_eager')})
    wanted = tuned_parameters(plain.model)
    for name, tensor in tuned_parameters(runner.model).items():
        difference = (tensor - wanted[name]).norm()
        assert difference <= 1e-4 * wanted[name].norm(), name


def test_bfloat16_run(tmp_path, plain):
    """Its checkpoints and its task are those of a run in float32."""
    runner = train(tmp_path / 'run', **{'model.backbone.dtype': 'bfloat16'})
    assert runner.model.backbone.encoder.cls_token.dtype == torch.bfloat16
    states, digests = [], []
    for name in ('plain', 'run'):
        checkpoint = torch.load(
            tmp_path / name / 'epoch_1.pth', weights_only=True
        )
        states.append(checkpoint['state_dict'])
        task = read_task(tmp_path / name / 'task.safetensors')
        digests.append(task.frozen_sha256)
    assert digests[0] == digests[1]
    tuned = tuned_parameters(plain.model)
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
