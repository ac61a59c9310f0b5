"""tools/benchmark*.py in subprocesses, elsewhere."""

import importlib.util
import json

import pytest

from ..conftest import ROOT
from .test_tools import fails, run

SMALL = (
    *('--arch', 'deit-tiny', '--img-size', 32, '--batch-sizes', 1, 2),
    *('--repetitions', 2, '--threads', 1, '--out', 'benchmark.json'),
)
PLAIN = ('mmpretrain', 'ours')


def measured(folder, *peers) -> tuple[dict, dict]:
    """The JSON file, and its rows by batch size, what, and name."""
    result = run('benchmark.py', *SMALL, '--peers', *peers, cwd=folder)
    assert '1 threads, cpu' in result.stdout
    assert '| 2 | training | late |' in result.stdout
    assert result.stdout.strip().endswith('benchmark.png')
    assert (folder / 'benchmark.png').stat().st_size > 5_000
    found = json.loads((folder / 'benchmark.json').read_text())
    rows = {(x['batch_size'], x['what'], x['name']): x for x in found['rows']}
    return found, rows


@pytest.mark.slow
def test_ours_beside_the_hosts(tmp_path):
    found, rows = measured(tmp_path)
    names = {name for _, _, name in rows}
    assert names == {*PLAIN, 'late', 'late, cached'}
    assert len(rows) == 2 * 2 * len(names)
    assert found['threads'] == 1
    assert set(found['differences']) == {'mmpretrain', 'late, cached'}
    assert found['processor']
    assert 0 < found['differences']['mmpretrain'] <= 1e-4
    for (_, what, _), row in rows.items():
        assert 0 < row['fastest_s'] <= row['median_s'] <= row['slowest_s']
        rate = row['flops'] / row['median_s']
        assert row['of_limit'] == pytest.approx(rate / row['limit'])
        assert ('peak_mb' in row) == (what == 'training')
    assert rows[1, 'training', 'mmpretrain']['faster'] == 1
    check_arithmetic(rows)


def check_arithmetic(rows):
    flops = {
        (what, name): row['flops']
        for (size, what, name), row in rows.items()
        if size == 2
    }
    # 11 of 12 blocks, but less attention than products.
    for what, least in (('inference', 0.9), ('training', 0.87)):
        ratio = flops[what, 'ours'] / flops[what, 'mmpretrain']
        assert least < ratio < 0.94, what
    # Forward 11 blocks, backward 3; forward 3, backward 3.
    assert flops['training', 'late'] < 0.72 * flops['training', 'ours']
    assert flops['training', 'late, cached'] < 0.33 * flops['training', 'ours']
    kept = {
        name: rows[2, 'training', name]['kept_mb'] for name in ('ours', 'late')
    }
    assert 0 < kept['late'] < 0.55 * kept['ours']


def test_growth(tmp_path):
    flags = (
        *('--growth', 'first prompted block', 'classes', 'image size'),
        *('--arch', 'deit-tiny', '--img-size', 112, '--batch-sizes', 1),
        *('--repetitions', 1, '--threads', 1, '--out', 'growth.json'),
    )
    result = run('benchmark.py', *flags, cwd=tmp_path)
    assert '| classes | training | 10, 100, 1000, 10000 |' in result.stdout
    assert (tmp_path / 'growth.png').stat().st_size > 5_000
    rows = json.loads((tmp_path / 'growth.json').read_text())['rows']
    along = {}
    for row in rows:
        along.setdefault((row['axis'], row['what']), []).append(row)
    blocks = along['first prompted block', 'training']
    assert [row['value'] for row in blocks] == [0, 2, 4, 6, 8, 10, 11]
    for key in ('flops', 'kept_mb'):
        figures = [row[key] for row in blocks]
        assert figures == sorted(figures, reverse=True)
        assert figures[-1] < 0.6 * figures[0]
    sizes = along['image size', 'inference']
    assert [row['value'] for row in sizes] == [112, 192]
    # 49 and 144 patches.
    assert 2.2 < sizes[1]['flops'] / sizes[0]['flops'] < 3.2


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--prompt-length', 0], '--prompt-length must be at least 1'),
        (['--repetitions', 0], '--repetitions must be at least 1'),
        (['--threads', 0], '--threads must be at least 1'),
        (['--growth', '--compile'], '--growth measures ours alone'),
        (['--batch-sizes', 8, 0], '--batch-sizes [8, 0] must be at least 1'),
        (['--growth', 'time'], "--growth 'time' must be of prompt length,"),
        (
            ['--batch-sizes', 1, 8, '--growth'],
            '--growth takes one of --batch-sizes',
        ),
    ],
)
def test_flags_that_make_no_sense(tmp_path, flags, message):
    assert message in fails('benchmark.py', *flags, cwd=tmp_path)


@pytest.mark.slow
def test_where_a_run_spends_its_time(tmp_path):
    result = run(
        'benchmark_run.py',
        *(ROOT / 'configs/vptm_beitv2-tiny_digits.py', '--starts', 1),
        *('--out', 'run.json', '--cfg-options'),
        *('train_cfg.max_epochs=3', 'param_scheduler.1.end=3'),
        cwd=tmp_path,
    )
    assert 'first training step begins:' in result.stdout
    found = json.loads((tmp_path / 'run.json').read_text())
    assert found['ratio'] > 1
    whole = found['run']
    assert sum(whole['seconds'].values()) == pytest.approx(
        whole['total'], 0.01
    )
    stages = ('import', 'build', 'load weights', 'data', 'forward')
    stages += ('backward', 'optimizer', 'evaluation', 'checkpoints')
    for stage in stages:
        assert whole['seconds'][stage] > 0, stage
    assert 'forward' not in found['start']['seconds']
    # Nothing is left in the folder but what was asked for.
    assert [path.name for path in tmp_path.iterdir()] == ['run.json']


@pytest.mark.parametrize(
    'flags', [['--models', 3], ['--tasks', 1, 2], ['--repetitions', 0]]
)
def test_pools_that_cannot_be_compared(tmp_path, flags):
    error = fails('benchmark_pool.py', *flags, cwd=tmp_path)
    assert 'error: ' in error
    assert 'must' in error
