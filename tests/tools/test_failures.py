"""The tools explain what a run dies of."""

import os

import pytest
import torch

from ..conftest import ROOT
from ..engine.made_digits import digits_runner
from .test_tools import DIGITS, fails

TRANSFORM = """
import os
import signal

from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class KillWorker:
    def __call__(self, results):
        os.kill(os.getpid(), signal.SIGKILL)
"""
CONFIG = f"""
_base_ = {str(DIGITS)!r}
custom_imports = dict(imports=['kill_worker'])
model = dict(backbone=dict(prompt_length=2))
loader = dict(
    num_workers=1,
    dataset=dict(pipeline=[dict(type='KillWorker'), dict(type='PackInputs')]),
)
train_dataloader = loader
test_dataloader = loader
"""


@pytest.mark.parametrize('part', ['train', 'test'])
def test_a_killed_worker(tmp_path, part):
    (tmp_path / 'kill_worker.py').write_text(TRANSFORM)
    (tmp_path / 'config.py').write_text(CONFIG)
    state = digits_runner(tmp_path / 'other').model.state_dict()
    torch.save(dict(state_dict=state), tmp_path / 'model.pth')
    text = fails(
        f'{part}.py',
        'config.py',
        *(['model.pth'] if part == 'test' else []),
        cwd=tmp_path,
        PYTHONPATH=os.pathsep.join((str(ROOT), str(tmp_path))),
    )
    last = text[text.rindex('RuntimeError: ') :]
    assert f'a worker process of {part}_dataloader died: it was killed' in last
    assert f'{part}_dataloader.num_workers=0' in last
    assert ('--resume' in last) == (part == 'train')
