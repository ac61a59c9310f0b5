"""What one run measures, and what it reads."""

import json

import pytest

from vptm_mm.compare import trial
from vptm_mm.compare.pairs import Pair
from vptm_mm.compare.plan import DataSet, Method
from vptm_mm.compare.search import PRESETS
from vptm_mm.datasets import SklearnDigits
from vptm_mm.fresh_process import resident_bytes

from .made_plan import LINEAR, SMALL, TWO_RATES, make_plan

TRAIN_SPLIT = 'train_dataloader.dataset.split'


def make_pair(search=TWO_RATES, final=None, **options) -> Pair:
    plan = make_plan(
        methods=(Method('linear', LINEAR, search),),
        datasets=(DataSet('digits', final=final or {}),),
        cfg_options={**SMALL, **options},
    )
    return Pair(plan, plan.datasets[0], plan.methods[0])


def test_a_search_does_not_read_the_test_set(tmp_path, monkeypatch):
    # Which looks for images that splits share, in all of them.
    pair = make_pair()
    load = SklearnDigits.load_data_list

    def refuse(self):
        if self.split == 'test':
            raise RuntimeError('the test set was read')
        return load(self)

    monkeypatch.setattr(SklearnDigits, 'load_data_list', refuse)
    result = trial.measure(pair.search_config({}), tmp_path)
    assert result['test'] is None
    assert 0 <= result['val'] <= 100
    assert not (tmp_path / 'test_results.json').exists()
    # The guard works: a final run does read it. In a folder of its own, whose
    # name the run gets: two of one name and second share the best score.
    folder = tmp_path / 'final'
    folder.mkdir()
    with pytest.raises(RuntimeError, match='the test set was read'):
        trial.measure(pair.final_config(0, {}, 0), folder)


def test_a_final_run_measures_what_the_table_shows(tmp_path):
    stop = dict(
        type='EarlyStoppingHook', monitor='accuracy/top1', min_delta=101
    )
    options = {
        'train_cfg.max_epochs': 3,
        'custom_hooks': [dict(stop, patience=1)],
    }
    pair = make_pair(PRESETS['fixed'], **options)
    result = trial.measure(pair.final_config(0, {}, 0), tmp_path)
    tested = json.loads((tmp_path / 'test_results.json').read_text())
    assert result['test'] == tested['metrics']['accuracy/top1']
    assert result['tuned'] == 128 * 10 + 10
    assert result['tuned_bytes'] == 4 * result['tuned']
    assert result['total'] > result['tuned']
    assert result['learning_rate'] == 0.2
    assert result['weight_decay'] == 0.01
    assert result['epochs'] == 2
    assert result['epoch_seconds'] > 0
    assert result['memory_of'] == 'process, resident'
    assert result['peak_memory'] > resident_bytes('VmRSS') / 2 > 0
    assert not list(tmp_path.glob('*.pth'))


def test_trained_on_all_the_last_checkpoint_is_tested(tmp_path):
    pair = make_pair(PRESETS['fixed'], final={TRAIN_SPLIT: 'val'})
    result = trial.measure(pair.final_config(0, {}, 0), tmp_path)
    assert result['val'] is None
    assert 0 <= result['test'] <= 100


def test_a_head_that_does_not_fit_the_classes(tmp_path):
    pair = make_pair(**{'model.head.num_classes': 12})
    with pytest.raises(ValueError, match='num_classes=12, and the train data'):
        trial.measure(pair.final_config(0, {}, 0), tmp_path)
