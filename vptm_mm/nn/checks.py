"""Checks of the numbers that configs give."""

import math
from numbers import Integral, Real
from typing import Any


def is_int(value: Any) -> bool:
    """Whether a value is an integer; 2.0 and ``True`` are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether a value is a finite number; ``True`` is not."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond all floats
        return False


def require_int(
    name: str, value: Any, low: int, high: int | None = None, hint: str = ''
) -> None:
    """Refuse what is not an int within limits.

    Args:
        name: Name of the argument.
        value: Its value.
        low: The lowest value that is allowed.
        high: The highest one; None for no limit.
        hint: What the text of the error says behind the limits.

    Raises:
        ValueError: If so.
    """
    limits = f'>= {low}' if high is None else f'in {low}..{high}'
    top = float('inf') if high is None else high
    if not is_int(value) or not low <= value <= top:
        raise ValueError(f'{name}={value!r} must be an int {limits}{hint}.')


def require_list(name: str, value: Any) -> tuple:
    """Return a list, a tuple or a range as a tuple; refuse anything else.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(value, (list, tuple, range)):
        raise TypeError(f'{name}={value!r} must be a list, as ({value!r},).')
    return tuple(value)


def require_positive(name: str, value: Any, hint: str = '') -> None:
    """Refuse what is not a finite number above 0, as ``require_int`` does."""
    if not is_finite(value) or value <= 0:
        raise ValueError(
            f'{name}={value!r} must be positive and finite{hint}.'
        )
