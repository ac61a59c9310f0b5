"""How tokens and states of a pre-trained model are measured."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch.utils.data import DataLoader

from vptm_mm.pretraining.measures import (
    states_of_file,
    states_of_model,
    token_statistics,
)
from vptm_mm.pretraining.report_hook import _without_sampler
from vptm_mm.weights import load_file

from ..conftest import ROOT


def test_a_codebook_that_is_used_evenly():
    tokens = torch.arange(8).view(2, 4)
    found = token_statistics(tokens, None, 16)
    assert found['used'] == 0.5
    assert (found['images'], found['patches']) == (2, 8)
    assert found['perplexity'] == pytest.approx(8)
    assert 'ami' not in found


def test_perplexity_is_e_to_the_entropy():
    tokens = torch.tensor([[0, 0, 0, 1]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    found = token_statistics(tokens, None, 2)
    assert found['perplexity'] == pytest.approx(math.exp(entropy))


def test_mutual_information_of_token_and_class():
    labels = torch.tensor([0, 1, 0, 1])
    same = labels[:, None].repeat(1, 3)
    assert token_statistics(same, labels, 2)['ami'] == pytest.approx(1)
    # Random ones of a large codebook seem to tell much, if not adjusted.
    random = torch.randint(500, (200, 4), generator=torch.Generator())
    labels = torch.arange(200) % 10
    found = token_statistics(random, labels, 500)
    assert found['ami'] == pytest.approx(0, abs=0.03)


def test_a_linear_probe_reads_what_other_processes_would_read():
    # As the samplers of the host for process 0 of 2.
    theirs = DataLoader(range(7), sampler=[0, 2, 4, 6], batch_size=2)
    loader = _without_sampler(theirs)
    assert [n for batch in loader for n in batch.tolist()] == [*range(7)]
    assert loader.batch_size == 2


def test_a_baseline_is_read_as_the_model_is():
    """The packaged backbone, as a file and in the model it came from."""
    init_default_scope('mmpretrain')
    address = 'vptm_mm://beitv2-tiny_digits.pth'
    config = ROOT / 'configs' / 'pretrain' / 'beitv2-tiny_digits.py'
    model = MODELS.build(Config.fromfile(config).model).eval()
    path = ROOT / 'vptm_mm' / 'checkpoints' / 'beitv2-tiny_digits.pth'
    missing = model.load_state_dict(
        load_file(path)['state_dict'], strict=False
    ).missing_keys
    derived = 'backbone.rel_pos_bias.relative_position_index'
    assert [n for n in missing if n.startswith('backbone.')] == [derived]
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator())
    with torch.no_grad():
        found = states_of_file(address, torch.device('cpu'))(images)
        expected = states_of_model(model)(images)
    torch.testing.assert_close(found, expected)
