"""How much the tests with random inputs try.

``VPTM_FUZZ=20000 python -m pytest -k fuzz --timeout 0`` tries so many for
each target, others in each run; without it, few, and always the same.
"""

import os

from hypothesis import HealthCheck, Phase, settings

EXAMPLES = int(os.environ.get('VPTM_FUZZ', 0))


def fuzz(few: int) -> settings:
    """Settings of a test that tries ``few`` inputs by default."""
    return settings(
        max_examples=EXAMPLES or few,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a failing input is short as it is
        suppress_health_check=list(HealthCheck),
    )
