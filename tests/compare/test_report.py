"""Tables and plots say what was measured."""

import csv
import io

import pytest
from rich.console import Console

from vptm_mm.compare.pairs import make_pairs
from vptm_mm.compare.plan import DataSet, Method
from vptm_mm.compare.report import make_markdown, write_report
from vptm_mm.compare.study import Studies
from vptm_mm.compare.tables import make_rows, make_runs
from vptm_mm.compare.worker import Worker

from .made_plan import (
    ON_ALL,
    TWO_RATES,
    VPT,
    VPTM,
    FakeRuns,
    make_axis,
    make_plan,
)


def finish(folder, plan, runs):
    """Pairs and studies after all runs."""
    pairs = make_pairs(plan)
    studies = Studies(folder / 'study.log')
    Worker(studies, pairs, folder, Console(file=io.StringIO()), runs).run()
    return pairs, studies


def markdown(pairs, studies):
    runs = make_runs(pairs, studies)
    plan = pairs[0].plan
    return make_markdown(plan, runs, make_rows(runs, plan.seeds))


def lines_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def fails(cfg):
    backbone = cfg['model']['backbone']['type']
    return backbone == 'VPTMBackbone' and cfg['randomness']['seed'] == 1


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """Two methods, three seeds, one of which failed with VPTM."""
    folder = tmp_path_factory.mktemp('finished')
    plan = make_plan(seeds=3)
    return folder, *finish(folder, plan, FakeRuns(fail=fails))


def test_files_of_a_comparison(finished):
    folder, pairs, studies = finished
    written = write_report(pairs, studies, folder / 'report')
    assert [path.name for path in written] == [
        'runs.csv',
        'results.csv',
        'results.md',
        'parameters_digits.png',
    ]
    assert all(path.stat().st_size > 100 for path in written)
    runs = lines_of(folder / 'report' / 'runs.csv')
    assert len(runs) == 4 + 6
    assert [run['stage'] for run in runs].count('search') == 4
    assert all(run['test'] == '' for run in runs if run['stage'] == 'search')
    (failed,) = [run for run in runs if run['error']]
    assert failed['method'] == 'VPTM'
    assert failed['seed'] == '1'
    rows = lines_of(folder / 'report' / 'results.csv')
    assert [row['seeds'] for row in rows] == ['2', '3']
    assert rows[1]['test_mean'] == '71.0'
    assert rows[1]['test_std'] == '1.0'
    assert rows[1]['epochs'] == '1'


def test_the_table_has_deviations_costs_and_failures(finished):
    _, pairs, studies = finished
    text = markdown(pairs, studies)
    (line,) = [t for t in text.splitlines() if t.startswith('| linear')]
    assert line == (
        '| linear | 1,290 | 5.2 | 0.2 (end) | 0.01 | 1 | 0.5 | 700 '
        '| 82.0 ± 0.0 | 71.0 ± 1.0 |'
    )
    (line,) = [t for t in text.splitlines() if t.startswith('| VPTM')]
    assert line.endswith('| 71.0 ± 1.4 (2 of 3 seeds) |')
    assert 'memory: process, resident' in text
    assert '(end): the best of the rates' in text
    assert 'Rates of VPTM, linear were chosen on the validation split' in text
    below = text.partition('## Failed runs')[2]
    assert (
        '- digits, VPTM, final, learning_rate 0.2, seed 1: RuntimeError: '
        'made to fail' in below
    )


def test_without_validation_there_is_a_dash(tmp_path):
    pairs, studies = finish(
        tmp_path, make_plan(datasets=(ON_ALL,)), FakeRuns()
    )
    write_report(pairs, studies, tmp_path)
    text = (tmp_path / 'results.md').read_text()
    assert text.count('| - | 70.5 ± 0.7 |') == 2
    for row in lines_of(tmp_path / 'results.csv'):
        assert (row['val_mean'], row['val_std']) == ('', '')
        assert row['test_mean'] == '70.5'
    runs = lines_of(tmp_path / 'runs.csv')
    assert [bool(run['val']) for run in runs] == [True, True, False, False] * 2


def test_a_mean_is_exact(finished):
    """The mean of pandas is the last bit less, and rounded down."""
    _, pairs, studies = finished
    runs = make_runs(pairs[1:], studies)
    runs.loc[runs.stage == 'final', 'test'] = [83.76, 83.87, 96.82]
    (row,) = make_rows(runs, 3).itertuples()
    assert row.test.startswith('88.2 ± ')


def test_a_report_of_nothing_says_so(tmp_path):
    plan = make_plan()
    pairs, studies = finish(tmp_path, plan, FakeRuns(fail=lambda cfg: True))
    written = write_report(pairs, studies, tmp_path)
    assert [path.suffix for path in written] == ['.csv', '.csv', '.md']
    text = (tmp_path / 'results.md').read_text()
    assert 'Nothing was measured.' in text
    assert text.count('made to fail') == 4


def test_files_of_axes(tmp_path):
    plan = make_plan(
        methods=(Method('a', VPTM, TWO_RATES), Method('b', VPT, TWO_RATES)),
        axes=(
            make_axis(
                'blocks', 'model.backbone.prompt_blocks', ([0], [0, 1, 2])
            ),
            make_axis('prototype_dim', 'model.head.prototype_dim', (64, 128)),
        ),
    )
    runs = FakeRuns()
    pairs, studies = finish(tmp_path, plan, runs)
    # 2 x 2 searches; a: 2 + 2 values, one of them twice; b: 2 values, of which
    # one is the reference on the second axis. All with two seeds.
    assert len(runs.started) == 4 + 2 * 3 + 2 * 2
    written = write_report(pairs, studies, tmp_path / 'report')
    assert [path.name for path in written] == [
        'axes_runs.csv',
        'axis_blocks.csv',
        'axis_blocks.md',
        'axis_blocks_digits.png',
        'axis_prototype_dim.csv',
        'axis_prototype_dim.md',
        'axis_prototype_dim_digits.png',
    ]
    rows = lines_of(tmp_path / 'report' / 'axis_blocks.csv')
    assert [(row['method'], row['value']) for row in rows] == [
        ('a', '0'),
        ('a', '0-2'),
        ('b', '0'),
        ('b', '0-2'),
    ]
    rows = lines_of(tmp_path / 'report' / 'axis_prototype_dim.csv')
    assert [(row['method'], row['value']) for row in rows] == [
        ('a', '64'),
        ('a', '128'),
        ('b', ''),
    ]
    table = (tmp_path / 'report' / 'axis_prototype_dim.md').read_text()
    assert '| method | learning rate | 64 | 128 |\n' in table
    (line,) = (x for x in table.splitlines() if x.startswith('| b |'))
    *_, at_64, at_128, _ = line.split('|')
    assert at_64 == at_128  # It has no prototypes.


def test_several_data_sets_have_an_overview(tmp_path):
    """VPTM fails with a seed on one of them: it has no mean over them."""
    batch = {'train_dataloader.batch_size': 8}
    other = DataSet('other', cfg_options=batch, group='b')
    plan = make_plan(datasets=(DataSet('digits', group='a'), other))
    runs = FakeRuns(
        fail=lambda cfg: (
            cfg['model']['backbone']['type'] == 'VPTMBackbone'
            and cfg['train_dataloader']['batch_size'] == 8
            and cfg['randomness']['seed'] == 1
        )
    )
    lines = markdown(*finish(tmp_path, plan, runs)).splitlines()
    start = lines.index('## All data sets')
    assert lines[start + 2 : start + 6] == [
        '| method | digits | other '
        '| mean of 1, a | mean of 1, b | mean of 2 |',
        '|---|---|---|---|---|---|',
        '| VPTM | 70.5 ± 0.7 | 70.0 (1 of 2 seeds) | 70.5 | - | - |',
        '| linear | 70.5 ± 0.7 | 70.5 ± 0.7 | 70.5 | 70.5 | 70.5 |',
    ]


def test_what_failed_along_an_axis_is_said_there(tmp_path):
    """One value of one method, and all of another one's search."""
    axis = make_axis('length', 'model.backbone.prompt_length', (1, 2))
    methods = (
        Method('VPTM', VPTM, TWO_RATES),
        Method('VPT', VPT, TWO_RATES),
    )
    runs = FakeRuns(
        fail=lambda cfg: (
            cfg['model']['backbone']['type'] == 'VPTBackbone'
            or cfg['model']['backbone']['prompt_length'] == 2
        )
    )
    plan = make_plan(methods=methods, axes=(axis,))
    write_report(*finish(tmp_path, plan, runs), tmp_path)
    text = (tmp_path / 'axis_length.md').read_text()
    assert '| VPTM | 0.2 (end) | 70.5 ± 0.7 | - |' in text
    assert '(end): the best' in text
    failed = text.split('## Failed runs')[1]
    assert (
        '- digits, VPTM, length 2, final, learning_rate 0.2, seed 1' in failed
    )
    assert failed.count('- digits, VPT, search') == 2


def test_a_search_for_all_data_sets(tmp_path):
    other = DataSet('other', cfg_options={'train_dataloader.batch_size': 8})
    plan = make_plan(datasets=(other, DataSet('digits')), search_on='digits')
    pairs, studies = finish(tmp_path, plan, FakeRuns())
    text = markdown(pairs, studies)
    assert (
        'were chosen on the validation split of digits, for all data sets, '
        'with seed 0.'
    ) in text
    assert text.count('| 0.2 (end) |') == 4
    write_report(pairs, studies, tmp_path)
    searches = [
        run['dataset']
        for run in lines_of(tmp_path / 'runs.csv')
        if run['stage'] == 'search'
    ]
    assert searches == ['digits'] * 4
