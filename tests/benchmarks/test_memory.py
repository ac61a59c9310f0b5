"""Peak memory of a step, in a process of its own."""

import pytest

from benchmarks.entrants import Setting, make_entrant
from benchmarks.measure import kept_mb
from benchmarks.memory import CLEAR, peak_memory_mb


@pytest.mark.skipif(not CLEAR.exists(), reason='Linux tells it')
def test_peak_memory_is_what_a_step_needs():
    setting = Setting('deit-tiny', 64)
    module = make_entrant('ours', setting).module
    kept = kept_mb(module, setting.images(64))
    peak = peak_memory_mb('ours', setting, 64)
    assert kept > 100
    assert kept < peak < 2 * kept


def test_a_process_that_dies_is_named():
    with pytest.raises(RuntimeError, match="memory of 'nobody' ended with"):
        peak_memory_mb('nobody', Setting('deit-tiny', 32), 1)
