"""tools/benchmark.py as a user runs it: a subprocess, a foreign folder."""

import importlib.util
import json

import pytest

from .test_tools import fails, run

SMALL = (
    *('--arch', 'deit-tiny', '--img-size', 32, '--batch-sizes', 1, 2),
    *('--repetitions', 2, '--threads', 1, '--out', 'benchmark.json'),
)
PLAIN = ('mmpretrain', 'ours')


def measured(folder, *peers) -> tuple[dict, dict]:
    """The JSON file, and its rows by batch size, what, and blocks."""
    result = run('benchmark.py', *SMALL, '--peers', *peers, cwd=folder)
    assert '1 threads, cpu' in result.stdout
    assert '| 2 | training | late |' in result.stdout
    found = json.loads((folder / 'benchmark.json').read_text())
    rows = {(x['batch_size'], x['what'], x['name']): x for x in found['rows']}
    return found, rows


def test_ours_beside_the_hosts(tmp_path):
    found, rows = measured(tmp_path)
    assert len(rows) == 2 * 2 * 3
    assert found['threads'] == 1
    assert 0 < found['differences']['mmpretrain'] <= 1e-4
    for row in rows.values():
        assert 0 < row['fastest_s'] <= row['median_s'] <= row['slowest_s']
    assert rows[1, 'training', 'mmpretrain']['faster'] == 1
    assert rows[2, 'inference', 'ours']['of_limit'] > 0
    # The last block computes less; attention in one kernel is counted too.
    flops = {name: rows[1, 'inference', name]['flops'] for name in PLAIN}
    assert 0.85 * flops['mmpretrain'] < flops['ours'] < flops['mmpretrain']
    late, ours = (
        rows[2, 'training', name]['kept_mb'] for name in ('late', 'ours')
    )
    assert 0 < late < 0.5 * ours


@pytest.mark.parametrize('peer', ['timm', 'transformers'])
def test_a_peer_agrees(tmp_path, peer):
    pytest.importorskip(peer)
    found, rows = measured(tmp_path, peer)
    assert 0 < found['differences'][peer] <= 1e-4
    assert rows[1, 'training', peer]['median_s'] > 0


@pytest.mark.skipif(
    importlib.util.find_spec('timm') is not None, reason='timm is installed'
)
def test_a_missing_peer_is_named(tmp_path):
    error = fails('benchmark.py', '--peers', 'timm', cwd=tmp_path)
    assert "--peers timm is missing; pip install 'timm'" in error


def test_nothing_to_train_is_refused(tmp_path):
    error = fails('benchmark.py', '--prompt-length', 0, cwd=tmp_path)
    assert '--prompt-length must be at least 1' in error
