"""Processes on CPUs, and launchers that did not start us."""

import os
import signal

import pytest
import torch.distributed
from mmengine.config import Config
from mmengine.model import BaseModel, MMDistributedDataParallel
from torch import nn

from vptm_mm.engine import AnyDeviceRunner
from vptm_mm.engine.any_device_runner import VARIABLES
from vptm_mm.engine.launch import LOADERS, build_runner, leave_process_group
from vptm_mm.engine.worker_signals import STOP_SIGNALS

from ..launched import free_port
from .made_digits import digits_runner

# A runner's scope stays when it is gone: the tests that follow need this one.
SCOPE = 'mmpretrain'


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, inputs, data_samples=None, mode='loss'):
        return dict(loss=self.layer(inputs).sum())


@pytest.fixture
def environment(monkeypatch):
    """An environment without a launcher's variables; it is put back."""
    for name in {name for names in VARIABLES.values() for name in names}:
        monkeypatch.delenv(name, raising=False)
    # The runner writes these.
    for name in ('LOCAL_RANK', 'RANK', 'WORLD_SIZE'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize('launcher', VARIABLES)
def test_a_launcher_that_did_not_start_us(environment, tmp_path, launcher):
    rank = VARIABLES[launcher][1]
    text = f'--launcher {launcher}: {rank} is not set; start by torchrun, srun'
    with pytest.raises(RuntimeError, match=text):
        AnyDeviceRunner(
            Model(), str(tmp_path), launcher=launcher, default_scope=SCOPE
        )


def test_a_process_of_mpirun_on_a_cpu(environment, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    environment.setenv('OMPI_COMM_WORLD_LOCAL_RANK', '1')
    environment.setenv('OMPI_COMM_WORLD_RANK', '0')
    environment.setenv('OMPI_COMM_WORLD_SIZE', '1')
    environment.setenv('MASTER_ADDR', 'localhost')
    environment.setenv('MASTER_PORT', free_port())
    try:
        runner = AnyDeviceRunner(
            Model(),
            str(tmp_path),
            launcher='mpi',
            default_scope=SCOPE,
            env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=60)),
            cfg=dict(model_wrapper_cfg=dict(static_graph=True)),
        )
        assert torch.distributed.get_backend() == 'gloo'
    finally:
        leave_process_group()
    # What the host's wrapper reads on a GPU.
    assert os.environ['LOCAL_RANK'] == '1'
    assert os.environ['OMPI_COMM_WORLD_LOCAL_RANK'] == '1'
    assert isinstance(runner.model, MMDistributedDataParallel)
    assert runner.model.device_ids is None
    assert runner.model.static_graph


@pytest.mark.parametrize(
    'config',
    [
        dict(runner_type='FlexibleRunner'),
        dict(strategy=dict(type='FSDPStrategy')),
    ],
)
def test_sharding_is_refused(config):
    with pytest.raises(ValueError, match='strategies .FSDP, .* not supported'):
        build_runner(Config(config), ())


def test_a_part_of_a_config_is_refused():
    """As the README shows the part that is ours."""
    cfg = Config(dict(model=dict(), optim_wrapper=dict()))
    with pytest.raises(ValueError, match='has no train_dataloader, train_cfg'):
        build_runner(cfg, LOADERS)


def test_a_run_that_fails_gives_signals_back(tmp_path, monkeypatch):
    """Else the process that trains by Python could not be stopped."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    runner = digits_runner(tmp_path / 'run')
    monkeypatch.setattr(
        runner.model, 'train_step', lambda *args, **kwargs: 1 / 0
    )
    with pytest.raises(ZeroDivisionError, match='by zero'):
        runner.train()
    assert {n: signal.getsignal(n) for n in STOP_SIGNALS} == before


def test_a_run_on_another_device(tmp_path):
    """As ``vptm train --device`` asks for it."""
    cfg = digits_runner(tmp_path / 'run').cfg
    cfg.device = 'meta'
    runner = AnyDeviceRunner.from_cfg(cfg)
    assert next(runner.model.parameters()).is_meta
