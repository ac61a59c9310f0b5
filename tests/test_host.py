"""The import check, and the allow-list for checkpoints."""

import importlib
import subprocess
import sys
from pickle import UnpicklingError
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import ImgDataPreprocessor
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain import ImageClassificationInferencer, get_model
from mmpretrain.datasets import CustomDataset
from mmpretrain.models import ClsDataPreprocessor, ClsHead

from vptm_mm import host
from vptm_mm.host import _history_statistic, require_host

from .conftest import ROOT
from .made_images import IMAGE
from .made_tasks import PIPELINE


def test_without_the_host_the_import_names_the_command():
    code = """
import sys

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == 'mmcv':
            raise ImportError("No module named 'mmcv'")

sys.meta_path.insert(0, Broken())
import vptm_mm
"""
    result = subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith('ImportError: mmcv cannot be imported')
    assert 'Run: pip install "vptm_mm[openmmlab]"' in line


@pytest.mark.parametrize(
    ('package', 'error', 'advice'),
    [
        ('mmengine', ImportError('none'), r'Run: pip .*vptm_mm\[openmmlab'),
        ('mmpretrain', RuntimeError('nms'), 'does not fit what is beside it'),
        ('cv2', ImportError('libGL.so.1: gone'), 'opencv-python-headless'),
    ],
)
def test_what_is_missing_is_named(package, error, advice, monkeypatch):
    def fail(name):
        if name == package:
            raise error

    monkeypatch.setattr(importlib, 'import_module', fail)
    with pytest.raises(
        ImportError, match=f'^{package} cannot be imported .*{advice}'
    ):
        require_host()


def test_mmengine_history_loads_with_weights_only(tmp_path):
    hub = MessageHub('history')
    for step in range(3):
        hub.update_scalar('train/loss', 0.5 * step)
        hub.update_info('array', np.arange(3.0))
        hub.update_info('scalar', np.float64(2))
        hub.update_info('count', np.int64(2))
    path = tmp_path / 'hub.pth'
    torch.save(hub.state_dict(), path)
    loaded = torch.load(path, weights_only=True)
    history = loaded['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.mean() == 0.5


def test_only_statistics_of_the_history_can_be_asked_for():
    assert _history_statistic(HistoryBuffer, 'mean') is HistoryBuffer.mean
    for owner, name in [(HistoryBuffer, '__init__'), (np, 'load')]:
        with pytest.raises(UnpicklingError, match='only the statistics'):
            _history_statistic(owner, name)


def test_private_names_that_are_read():
    """Each is used in ``vptm_mm.host`` alone."""
    swaps = ImgDataPreprocessor(bgr_to_rgb=True)
    assert swaps._channel_conversion, 'turns_to_rgb has to ask another name'
    assert host.turns_to_rgb(swaps)
    assert not host.turns_to_rgb(ImgDataPreprocessor())
    assert host.turns_to_rgb(ClsDataPreprocessor(to_rgb=True))
    classifier = dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=2, in_channels=512),
    )
    loader = dict(dataset=dict(type='CustomDataset', pipeline=PIPELINE))
    cfg = Config(dict(model=classifier, test_dataloader=loader))
    model = get_model(cfg)
    assert '_dataset_meta' in vars(model), 'dataset_meta has to ask another'
    host.set_dataset_meta(model, dict(classes=('a', 'b')))
    assert host.dataset_meta(model) == dict(classes=('a', 'b'))
    assert ImageClassificationInferencer(model).classes == ('a', 'b')


def test_private_names_of_the_runner():
    """Its hooks have no other way to these."""
    names = set(Runner.__init__.__code__.co_names)
    for name in ('_train_loop', '_val_loop', '_test_loop', '_resume'):
        assert name in names, f'host.py has to ask another name than {name}'
    assert '_load_from' in names, 'asked_to_resume and resume_from'
    # What AnyDeviceRunner overrides or sets.
    assert '_maybe_compile' in Runner.train.__code__.co_names
    assert '_has_loaded' in Runner.load_or_resume.__code__.co_names
    runner = SimpleNamespace(
        _train_loop=None,
        _val_loop={},
        _test_loop=None,
        _resume='auto',
        _load_from=None,
    )
    assert host.loops_of(runner) == dict(val={})
    assert host.open_datasets(runner) == {}
    assert host.asked_to_resume(runner) == ('auto', None)
    host.resume_from(runner, 'a.pth')
    assert host.asked_to_resume(runner) == ('auto', 'a.pth')
    host.resume_from(runner, None)
    assert host.asked_to_resume(runner) == (False, 'a.pth')


@pytest.mark.parametrize('serialize', [True, False])
def test_private_names_of_a_data_set(serialize, tmp_path):
    (tmp_path / 'b').mkdir()
    IMAGE.save(tmp_path / 'b' / 'b.png')
    dataset = CustomDataset(
        data_root=str(tmp_path),
        pipeline=[],
        serialize_data=serialize,
    )
    host.replace_list(dataset, [dict(img_path='a.png')], classes=('a',))
    assert dataset.get_data_info(0)['img_path'] == 'a.png'
    assert dataset.metainfo['classes'] == ('a',)


def test_without_what_is_frozen():
    module = torch.nn.Linear(2, 3)
    module.weight.requires_grad_(False)
    seen = host.without_frozen(module)
    assert dict(seen.named_parameters()) == dict(bias=module.bias)
    assert len(dict(module.named_parameters())) == 2


def test_without_the_cut_to_the_first_batches():
    cfg = dict(dataset=[5, 6, 7], batch_size=1, num_batch_per_epoch=2)
    cfg['sampler'] = dict(type='DefaultSampler', shuffle=False)
    dataset = Runner.build_dataloader(cfg).dataset
    assert len(dataset) == 2
    assert host.without_slice(dataset) == [5, 6, 7]
    assert host.without_slice([5]) == [5]


@pytest.mark.parametrize(
    ('owner', 'names'),
    [
        (EpochBasedTrainLoop.run, {'_epoch', '_decide_current_val_interval'}),
        (CheckpointHook._save_checkpoint, {'_save_checkpoint_with_step'}),
        (BaseDataset.__init__, {'_metainfo'}),
        (ClsHead.loss, {'_get_loss'}),
        (torch.nn.Module.float, {'_apply'}),
        (torch.nn.Module.__init__, {'_parameters'}),
    ],
)
def test_private_names_that_subclasses_use(owner, names):
    """The loop, the hook, data sets, the head and modules of ours."""
    assert names <= set(owner.__code__.co_names + owner.__code__.co_consts)
