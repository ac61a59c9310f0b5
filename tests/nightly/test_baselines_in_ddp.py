"""Every baseline on the digits in DDP: all that is tuned has a gradient."""

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from vptm_mm.engine.launch import leave_process_group
from vptm_mm.nn import trainable_parameters

from ..conftest import ROOT, random_class_means

CONFIGS = sorted((ROOT / 'configs' / 'baselines').glob('*digits*.py'))


@pytest.fixture(scope='module', autouse=True)
def process_group(tmp_path_factory):
    """One process: DDP looks for unused parameters in it as in many."""
    store = tmp_path_factory.mktemp('store') / 'store'
    distributed.init_process_group(
        'gloo', init_method=f'file://{store}', rank=0, world_size=1
    )
    yield
    leave_process_group()


def two_steps(classifier: torch.nn.Module) -> None:
    """What DDP finds missing in a step, it says in the next one."""
    model = DistributedDataParallel(classifier, find_unused_parameters=False)
    images = torch.rand(2, 3, 32, 32)
    samples = [DataSample().set_gt_label(label) for label in (3, 7)]
    for _ in range(2):
        losses = model(images, samples, mode='loss')
        losses['loss'].backward()


def build(path) -> torch.nn.Module:
    classifier = MODELS.build(Config.fromfile(path).model)
    random_class_means(classifier.head)
    return classifier.train()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_no_tuned_parameter_is_unused(path):
    classifier = build(path)
    two_steps(classifier)
    tuned = trainable_parameters(classifier)
    assert tuned
    assert [name for name, p in tuned.items() if p.grad is None] == []


def test_an_unused_parameter_is_found():
    classifier = build(CONFIGS[0])
    classifier.head.spare = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(RuntimeError, match='not used in producing loss'):
        two_steps(classifier)
