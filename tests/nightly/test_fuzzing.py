"""What is fuzzed, with other inputs in each run, and many of them."""

import os
import subprocess
import sys

import pytest

from ..conftest import ROOT


@pytest.mark.timeout(0)
def test_thousands_of_each():
    command = (sys.executable, '-m', 'pytest', '-k', 'fuzzed', '--timeout=0')
    variables = {**os.environ, 'VPTM_FUZZ': '3000'}
    ended = subprocess.run(command, cwd=ROOT, env=variables, timeout=36_000)
    assert ended.returncode == 0
