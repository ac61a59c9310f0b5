"""The benchmarks as a user runs them, from a clone."""

import csv
import json
import subprocess
import sys

import pytest

from ..conftest import ROOT


def run(module: str, *arguments) -> str:
    result = subprocess.run(
        [sys.executable, '-m', f'benchmarks.{module}', *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert not result.returncode, result.stderr
    return result.stdout


def measured(folder, *peers) -> dict:
    """Rows by what and name, of a batch of two tiny images."""
    shown = run(
        'blocks',
        *('--arch', 'deit-tiny', '--img-size', 32, '--batch-sizes', 2),
        *('--repetitions', 2, '--threads', 1, '--out', folder / 'blocks.json'),
        *('--peers', *peers),
    )
    assert '| 2 | training | late |' in shown
    found = json.loads((folder / 'blocks.json').read_text())
    assert found['threads'] == 1
    assert all(d <= 1e-4 for d in found['differences'].values())
    return {(row['what'], row['name']): row for row in found['rows']}


@pytest.mark.slow
def test_ours_beside_the_hosts(tmp_path):
    rows = measured(tmp_path)
    names = {name for _, name in rows}
    assert names == {'mmpretrain', 'ours', 'late', 'late, cached'}
    for (what, _), row in rows.items():
        assert 0 < row['fastest_s'] <= row['median_s'] <= row['slowest_s']
        rate = row['flops'] / row['median_s']
        assert row['of_limit'] == pytest.approx(rate / row['limit'])
        assert ('peak_mb' in row) == (what == 'training')
    assert rows['training', 'mmpretrain']['faster'] == 1
    # 11 of 12 blocks, but less attention than products.
    for what, least in (('inference', 0.9), ('training', 0.87)):
        ratio = rows[what, 'ours']['flops'] / rows[what, 'mmpretrain']['flops']
        assert least < ratio < 0.94, what
    # Forward 11 blocks, backward 3; forward 3, backward 3.
    ours, late, cached = (
        rows['training', name] for name in ('ours', 'late', 'late, cached')
    )
    assert late['flops'] < 0.72 * ours['flops']
    assert cached['flops'] < 0.33 * ours['flops']
    assert 0 < late['kept_mb'] < 0.55 * ours['kept_mb']


@pytest.mark.slow
@pytest.mark.needs('timm', 'transformers')
def test_peers_agree(tmp_path):
    peers = 'timm', 'transformers'
    rows = measured(tmp_path, *peers)
    for peer in peers:
        assert rows['training', peer]['median_s'] > 0


@pytest.mark.slow
def test_where_a_run_starts():
    shown = run(
        'start', 'configs/vptm_beitv2-tiny_digits.py', '--repetitions', 1
    )
    assert 'first training step begins' in shown


@pytest.mark.slow
@pytest.mark.needs('peft', 'transformers')
def test_a_pool_beside_adapters(tmp_path):
    quick = ('--quick', '--batch-sizes', 4, '--adapters', 2)
    out = tmp_path / 'peft.csv'
    shown = run('serve', 'peft', *quick, '--repetitions', 1, '--out', out)
    assert '| tiny | float32 | 4 | 2 |' in shown
    (row,) = csv.DictReader(out.read_text().splitlines())
    ratio = float(row['pool']) / float(row['peft'])
    assert float(row['ratio']) == pytest.approx(ratio)
