"""Runs that tests of this folder share."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .made_digits import digits_runner
from .made_runs import Run, outcome


@pytest.fixture(scope='session')
def finished(tmp_path_factory) -> Path:
    """Work dir of a run of one epoch that has ended; not to be changed."""
    folder = tmp_path_factory.mktemp('finished') / 'run'
    digits_runner(folder).train()
    return folder


@pytest.fixture(scope='session')
def left_alone(tmp_path_factory):
    """Moments and outcome of a run that nobody disturbs, by its options."""

    @cache
    def run(*options: tuple[str, Any]) -> tuple[list[str], dict]:
        folder = tmp_path_factory.mktemp('alone') / 'run'
        alone = Run(folder, **dict(options))
        assert alone.end() == 0
        assert alone.moments[-1] == 'end'
        return alone.moments, outcome(folder)

    return run
