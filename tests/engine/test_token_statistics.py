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
    assert 'ami' not in found


def test_perplexity_is_e_to_the_entropy():
    tokens = torch.tensor([[0, 0, 0, 1]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    found = token_statistics(tokens, 2)
    assert found['perplexity'] == pytest.approx(math.exp(entropy))


def test_mutual_information_of_token_and_class():
    labels = torch.tensor([0, 1, 0, 1])
    same = labels[:, None].repeat(1, 3)
    assert token_statistics(same, 2, labels)['ami'] == pytest.approx(1)
    # Random ones of a large codebook seem to tell much, if not adjusted.
    random = torch.randint(500, (200, 4), generator=torch.Generator())
    labels = torch.arange(200) % 10
    found = token_statistics(random, 500, labels)
    assert found['ami'] == pytest.approx(0, abs=0.03)
