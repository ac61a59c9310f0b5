"""Checks of the numbers that configs give."""

import math
from numbers import Integral, Real
from typing import Any


def is_int(value: Any) -> bool:
    """Whether it is an integer; 2.0 and ``True`` are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether it is a finite number; ``True`` is not."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond all floats
        return False
