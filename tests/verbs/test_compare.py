"""tools/compare.py as a user runs it: killed half-way, and continued."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vptm_mm.compare.search import Search
from vptm_mm.run_verb import parse_options
from vptm_mm.verbs import compare as verb
from vptm_mm_cli import parse

from ..conftest import ROOT
from .vptm import vptm

TOOL = ROOT / 'tools' / 'compare.py'
PLAN = """
seeds: 1
cfg_options:
  train_dataloader.dataset.indices: 64
  val_dataloader.dataset.indices: 32
  test_dataloader.dataset.indices: 32
  train_cfg.max_epochs: 1
  param_scheduler: []
methods:
  VPTM: {config: vptm_beitv2-tiny_digits.py, search: fixed}
  broken:
    config: baselines/linear-cls_beitv2-tiny_digits.py
    cfg_options: {model.head.in_channels: 7}
    search: fixed
  linear:
    config: baselines/linear-cls_beitv2-tiny_digits.py
    search: {preset: grid, learning_rate: [5e-2, 0.2]}
datasets:
  digits:
"""


def measured(cwd) -> dict[str, int]:
    """When each run ended that did, by its folder."""
    folder = cwd / 'work_dirs' / 'compare_plan' / 'runs'
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in folder.glob('*/measured.json')
    }


def kill_while_it_trains(cwd) -> set[str]:
    """Kill a worker in its third run; return the runs that it began."""
    runs = cwd / 'work_dirs' / 'compare_plan' / 'runs'
    with subprocess.Popen(
        [sys.executable, str(TOOL), 'plan.yml'],
        cwd=cwd,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stderr=subprocess.DEVNULL,
    ) as worker:
        while worker.poll() is None:
            begun = {path.parent.name for path in runs.glob('*/output.txt')}
            if len(begun) == 3:
                worker.send_signal(signal.SIGKILL)
                break
            time.sleep(0.05)
    return begun


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_half_way_and_continued(tmp_path, monkeypatch, capsys):
    (tmp_path / 'plan.yml').write_text(PLAN)
    begun = kill_while_it_trains(tmp_path)
    before = measured(tmp_path)
    assert len(begun) == 3
    assert len(before) == 2

    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)
    assert vptm('compare', 'plan.yml', '--stale-after', 5) == 0
    signal.signal(signal.SIGTERM, handler)
    output = capsys.readouterr().err

    # 2 searches and 3 final runs, of which one failed; what was there was left
    # alone.
    after = measured(tmp_path)
    assert len(after) == 5
    assert before.items() <= after.items()
    folder = tmp_path / 'work_dirs' / 'compare_plan'
    runs = {path.name for path in (folder / 'runs').iterdir()}
    # The killed run ended with its worker, and was done again.
    (unfinished,) = runs - set(after)
    assert unfinished in begun
    assert output.count('FAILED, RuntimeError: ') == 1
    assert output.count('mat1 and mat2 shapes') == 1
    assert '5/5' in output

    report = folder / 'report'
    with (report / 'runs.csv').open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 5
    assert sum(bool(line['error']) for line in lines) == 1
    text = (report / 'results.md').read_text()
    assert '| VPTM | 18,944 | 75.8 | 0.001 |' in text
    assert '| linear | 1,290 |' in text
    assert '- digits, broken, final' in text
    assert (report / 'parameters_digits.png').stat().st_size > 1000


@pytest.fixture
def make_plan(monkeypatch, tmp_path):
    """The plan that the verb makes of flags, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def make(*words):
        _, args = parse(['compare', *words])
        args.cfg_options = parse_options(args.cfg_options)
        return verb.make_plan(args)

    return make


def test_flags_change_the_plan(make_plan):
    Path('plan.yml').write_text(
        PLAN + 'search_on: digits\naxes: {heads: {model.head.tau: [10]}}\n'
    )
    plan = make_plan('plan.yml')
    assert (plan.search_on, plan.seeds, plan.axes) == ('digits', 1, ())
    flags = ['--search-on', '', '--seeds', '3', '--axes', 'heads']
    flags += ['--methods', 'linear', '--learning-rates', '3', '4']
    flags += ['--cfg-options', 'model.head.in_channels=128']
    plan = make_plan('plan.yml', *flags)
    assert (plan.search_on, plan.seeds) == ('', 3)
    assert plan.overrides == {'model.head.in_channels': 128}
    assert [axis.name for axis in plan.axes] == ['heads']
    (method,) = plan.methods
    assert method.search == Search((3.0, 4.0))


@pytest.mark.parametrize(
    ('args', 'error', 'text'),
    [
        (['none.yml'], FileNotFoundError, '^no plan at .*none'),
        (['--axes', 'depth'], ValueError, "unknown axis 'depth'; the"),
        (['--axes', ''], ValueError, "unknown axis ''; the plan has "),
        (['--search', 'bayes'], ValueError, "unknown preset 'bayes'"),
    ],
)
def test_mistakes_are_named(args, error, text, make_plan):
    with pytest.raises(error, match=text):
        make_plan(*args)


def test_a_database_is_no_journal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match='study.db must be a file, a journal'):
        vptm('compare', '--storage', 'sqlite:///study.db')
    assert not list(tmp_path.iterdir())


def test_a_plan_of_the_package_has_a_name(make_plan):
    assert make_plan('fgvc').name == 'fgvc'
    assert make_plan().name == 'digits'
