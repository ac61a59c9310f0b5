"""What counts as a whole and as a finite number in a config."""

import math

import numpy as np
import pytest

from vptm_mm.nn.checks import is_finite, is_int


@pytest.mark.parametrize('value', [0, -3, np.int64(2), 10**400])
def test_whole(value):
    assert is_int(value)


@pytest.mark.parametrize('value', [2.0, True, '2', None, [2], math.nan])
def test_not_whole(value):
    assert not is_int(value)


@pytest.mark.parametrize('value', [0, -0.5, np.float32(2), np.int8(1)])
def test_finite(value):
    assert is_finite(value)


@pytest.mark.parametrize(
    'value', [math.nan, -math.inf, np.float64('inf'), 10**400, True, '1', None]
)
def test_not_finite(value):
    assert not is_finite(value)
