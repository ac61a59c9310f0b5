"""Runs that are killed at many moments.

    python -m pytest tests/nightly/test_killed_runs.py -s

prints each moment at which a run was killed.
"""

import pytest

from ..engine.test_killed_runs import kill_and_resume, left_alone

__all__ = ['left_alone']  # a fixture


@pytest.mark.parametrize('number', range(36))
def test_killed_at_a_random_moment(tmp_path, left_alone, number):  # noqa: F811
    kill_and_resume(tmp_path / 'run', left_alone, number)
