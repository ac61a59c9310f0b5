"""How tokens and states of a pre-trained model are measured."""

import math

import pytest
import torch
from torch.utils.data import DataLoader

from vptm_mm.engine.hooks.pretraining_report import _without_sampler
from vptm_mm.engine.pretraining_measures import token_statistics


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
