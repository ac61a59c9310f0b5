import math

import pytest
import torch

from vptm_mm.engine.token_statistics import token_statistics


def test_a_codebook_that_is_used_evenly():
    tokens = torch.arange(8).view(2, 4)
    found = token_statistics(tokens, 16)
    assert found['used'] == 0.5
    assert (found['images'], found['patches']) == (2, 8)
    assert found['perplexity'] == pytest.approx(8)
    assert 'nmi' not in found


def test_perplexity_is_e_to_the_entropy():
    tokens = torch.tensor([[0, 0, 0, 1]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    found = token_statistics(tokens, 2)
    assert found['perplexity'] == pytest.approx(math.exp(entropy))


def test_mutual_information_of_token_and_class():
    labels = torch.tensor([0, 1, 0, 1])
    same = labels[:, None].repeat(1, 3)
    assert token_statistics(same, 2, labels)['nmi'] == pytest.approx(1)
    other = torch.tensor([[0, 1]]).repeat(4, 1)
    assert token_statistics(other, 2, labels)['nmi'] == pytest.approx(0)
