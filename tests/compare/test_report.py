"""Tables and plots say what was measured."""

import csv
import io
import statistics
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from vptm_mm.compare import plots
from vptm_mm.compare.jobs import make_pairs
from vptm_mm.compare.plan import DataSet, Method
from vptm_mm.compare.report import make_markdown, write_report
from vptm_mm.compare.rows import make_rows, make_runs
from vptm_mm.compare.search import PRESETS, GridSearch
from vptm_mm.compare.study import Study
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
    """Pairs and board after all runs."""
    pairs = make_pairs(plan)
    study = Study(f'sqlite:///{folder}/study.db', 's')
    worker = Worker(study, pairs, folder, Console(file=io.StringIO()), runs)
    return pairs, worker.run()


def lines_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def made_rows(methods):
    """Methods with their tuned parameters, mean and deviation."""
    columns = ['tuned', 'test_mean', 'test_std']
    rows = pd.DataFrame.from_dict(methods, 'index', columns=columns)
    return rows.rename_axis('method').reset_index()


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
    folder, pairs, board = finished
    written = write_report(pairs, board, folder / 'report')
    assert [path.name for path in written] == [
        'runs.csv',
        'results.csv',
        'results.md',
        'parameters_digits.png',
        'bars_digits.png',
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
    _, pairs, board = finished
    text = make_markdown(pairs, board)
    (line,) = [t for t in text.splitlines() if t.startswith('| linear')]
    assert line == (
        '| linear | 1,290 | 5.2 | 0.2 (end) | 0.01 | 1 | 0.5 | 700 '
        '| 82.0 ± 0.0 | 71.0 ± 1.0 |'
    )
    (line,) = [t for t in text.splitlines() if t.startswith('| VPTM')]
    assert line.endswith('| 71.0 ± 1.4 (2 of 3 seeds) |')
    assert 'memory: process, resident' in text
    assert '(end): the best of the rates' in text
    assert 'Learning rates were chosen on the validation split' in text
    assert 'Weight decays' not in text
    below = text.partition('## Failed runs')[2]
    assert (
        '- digits, VPTM, final, learning_rate 0.2, seed 1: RuntimeError: '
        'made to fail' in below
    )


def test_without_validation_there_is_a_dash(tmp_path):
    pairs, board = finish(tmp_path, make_plan(datasets=(ON_ALL,)), FakeRuns())
    write_report(pairs, board, tmp_path)
    text = (tmp_path / 'results.md').read_text()
    assert text.count('| - | 70.5 ± 0.7 |') == 2
    assert 'once; on digits, without validation, its last one.' in text
    for row in lines_of(tmp_path / 'results.csv'):
        assert (row['val_mean'], row['val_std']) == ('', '')
        assert row['test_mean'] == '70.5'
    runs = lines_of(tmp_path / 'runs.csv')
    assert [bool(run['val']) for run in runs] == [True, True, False, False] * 2


def test_the_deviation_is_that_of_a_sample(finished):
    _, pairs, board = finished
    runs = make_runs(pairs[1:], board)
    (row,) = make_rows(runs, pairs[1:], board).itertuples()
    assert row.test_std == statistics.stdev([70, 71, 72])
    runs = runs[(runs.stage == 'search') | (runs.seed == 0)]
    (row,) = make_rows(runs, pairs[1:], board).itertuples()
    assert np.isnan(row.test_std)
    assert row.test == '70.0 (1 of 3 seeds)'


def test_a_mean_is_exact(finished):
    """The mean of pandas is the last bit less, and rounded down."""
    _, pairs, board = finished
    runs = make_runs(pairs[1:], board)
    runs.loc[runs.stage == 'final', 'test'] = [83.76, 83.87, 96.82]
    (row,) = make_rows(runs, pairs[1:], board).itertuples()
    assert row.test.startswith('88.2 ± ')


def test_a_report_of_nothing_says_so(tmp_path):
    plan = make_plan()
    pairs, board = finish(tmp_path, plan, FakeRuns(fail=lambda cfg: True))
    written = write_report(pairs, board, tmp_path)
    assert [path.suffix for path in written] == ['.csv', '.csv', '.md']
    text = (tmp_path / 'results.md').read_text()
    assert 'Nothing was measured.' in text
    assert text.count('made to fail') == 4


def test_an_axis_over_learning_rates_says_so(tmp_path):
    plan = make_plan(
        methods=(Method('a', VPTM, PRESETS['fixed']),),
        axes=(make_axis('rate', 'optim_wrapper.optimizer.lr', (0.01, 0.1)),),
    )
    pairs, board = finish(tmp_path, plan, FakeRuns())
    write_report(pairs, board, tmp_path)
    assert '| a | varies | ' in (tmp_path / 'axis_rate.md').read_text()
    assert 'chosen' not in make_markdown(
        make_pairs(make_plan(methods=(Method('a', VPTM, PRESETS['fixed']),))),
        board,
    )


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
    pairs, board = finish(tmp_path, plan, runs)
    # 2 x 2 searches; a: 2 + 2 values, one of them twice; b: 2 values, of which
    # one is the reference on the second axis. All with two seeds.
    assert len(runs.started) == 4 + 2 * 3 + 2 * 2
    written = write_report(pairs, board, tmp_path / 'report')
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


@pytest.mark.parametrize('axes', [(), ('blocks',)])
def test_names_are_no_formulas(tmp_path, axes):
    name = r'a $\frac 6$'
    blocks = make_axis('blocks', 'model.backbone.prompt_blocks', ([0], [1]))
    plan = make_plan(
        methods=(Method(name, VPTM, PRESETS['fixed']),),
        datasets=(DataSet(name),),
        axes=(blocks,) if axes else (),
    )
    pairs, board = finish(tmp_path, plan, FakeRuns())
    written = write_report(pairs, board, tmp_path)
    assert written[-1].suffix == '.png'


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
    lines = make_markdown(*finish(tmp_path, plan, runs)).splitlines()
    start = lines.index('## All data sets')
    assert lines[start + 2 : start + 6] == [
        '| method | digits | other '
        '| mean of 1, a | mean of 1, b | mean of 2 |',
        '|---|---|---|---|---|---|',
        '| VPTM | 70.5 ± 0.7 | 70.0 (1 of 2 seeds) | 70.5 | - | - |',
        '| linear | 70.5 ± 0.7 | 70.5 ± 0.7 | 70.5 | 70.5 | 70.5 |',
    ]


def test_a_group_of_all_data_sets_has_the_mean_of_all(tmp_path):
    plan = make_plan(
        datasets=(
            DataSet('digits', group='a'),
            DataSet(
                'other', None, {'train_dataloader.batch_size': 8}, {}, 'a'
            ),
        )
    )
    text = make_markdown(*finish(tmp_path, plan, FakeRuns()))
    assert '| method | digits | other | mean of 2 |' in text


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
    pairs, board = finish(tmp_path, plan, FakeRuns())
    text = make_markdown(pairs, board)
    assert (
        'Learning rates were chosen on the validation split of digits, for '
        'all data sets, with seed 0.'
    ) in text
    assert text.count('| 0.2 (end) |') == 4
    write_report(pairs, board, tmp_path)
    searches = [
        run['dataset']
        for run in lines_of(tmp_path / 'runs.csv')
        if run['stage'] == 'search'
    ]
    assert searches == ['digits'] * 4


def test_points_of_another_search_are_left_out(tmp_path):
    """The same config was searched along more rates before."""
    wide = GridSearch((0.01, 0.05, 0.2, 0.3))
    for search in (wide, TWO_RATES):
        plan = make_plan(methods=(Method('m', VPTM, search),))
        pairs, board = finish(tmp_path, plan, FakeRuns())
    assert len(board.of_search(pairs[0].search_key)) == 4
    (row,) = make_rows(make_runs(pairs, board), pairs, board).itertuples()
    assert row.is_at_end
    write_report(pairs, board, tmp_path)
    runs = lines_of(tmp_path / 'runs.csv')
    assert [run['stage'] for run in runs].count('search') == 2


def test_no_label_hides_another(tmp_path, monkeypatch):
    """Fifteen methods, most of them close together."""
    figures = []
    monkeypatch.setattr(
        Figure, 'savefig', lambda figure, *a, **k: figures.append(figure)
    )
    rows = made_rows(
        {
            f'a method, number {n}': (1000 + 150 * n, 80.5 + n % 4, 0.7)
            for n in range(15)
        }
    )
    plots.draw_parameters(rows, 'digits', tmp_path)
    (axes,) = figures[0].axes
    boxes = [
        text.get_window_extent() for text in axes.texts if text.get_text()
    ]
    assert len(boxes) == 15
    inside = axes.get_window_extent()
    for one, other in combinations(boxes, 2):
        assert not one.padded(-1).overlaps(other.padded(-1))
    for box in boxes:
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1


def test_a_label_nearer_to_another_point_has_a_line_to_its_own(
    tmp_path, monkeypatch
):
    """Four methods of nearly the same numbers: not all labels fit beside."""
    figures = []
    monkeypatch.setattr(
        Figure, 'savefig', lambda figure, *a, **k: figures.append(figure)
    )
    marks = {f'method {place}': 80 + place / 2 for place in range(4)}
    marks['far below'] = 20
    rows = made_rows(
        {name: (1000, mark, np.nan) for name, mark in marks.items()}
    )
    plots.draw_parameters(rows, 'digits', tmp_path)
    (axes,) = figures[0].axes
    spots = {
        name: axes.transData.transform((1000, mark))
        for name, mark in marks.items()
    }
    pointed = [tuple(text.xy) for text in axes.texts if not text.get_text()]
    strays = 0
    for text in axes.texts:
        if not (name := text.get_text()):
            continue
        box = text.get_window_extent()
        distances = {
            other: np.hypot(*(np.clip(spot, box.min, box.max) - spot))
            for other, spot in spots.items()
        }
        if distances[name] > min(distances.values()) + 2:
            strays += 1
            assert tuple(spots[name]) in pointed
    assert strays
