"""Freed memory is used again, in a process of its own."""

import platform
import subprocess
import sys

import pytest

from vptm_mm import kept_memory

PROGRAM = """
import resource, runpy, sys
import torch

if sys.argv[1] == 'kept':
    assert runpy.run_path(sys.argv[2])['keep_freed_memory']()
torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(16):
    torch.ones(2**24)  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != 'glibc', reason='a choice of glibc'
)
def test_pages_are_not_asked_for_again():
    faults = {}
    for what in ('plain', 'kept'):
        result = subprocess.run(
            [sys.executable, '-c', PROGRAM, what, kept_memory.__file__],
            capture_output=True,
            text=True,
            check=True,
        )
        faults[what] = int(result.stdout.split()[-1])
    # Some at first: the heap grows until one place in it is free again.
    assert faults['kept'] < 0.5 * faults['plain']
