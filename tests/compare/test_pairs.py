"""From plan to runs: searches, final runs and axes."""

from dataclasses import replace

import pytest

from vptm_mm.compare import pairs
from vptm_mm.compare.pairs import make_pairs
from vptm_mm.compare.plan import DataSet, Method
from vptm_mm.compare.search import PRESETS

from .made_plan import (
    LINEAR,
    ON_ALL,
    TWO_RATES,
    VPT,
    VPTM,
    Played,
    finals_of,
    make_axis,
    make_plan,
    one_pair,
)

LENGTH = make_axis('prompt_length', 'model.backbone.prompt_length', (5, 10))
BATCHES = make_axis('batch', 'train_dataloader.batch_size', (4, 8))
DIMS = make_axis('prototype_dim', 'model.head.prototype_dim', (64, 128))


def test_a_search_has_no_test_set_and_a_final_run_has():
    pair = one_pair()
    search = pair.search.config(dict(learning_rate=0.1))
    assert search.test_dataloader is None
    assert search.test_cfg is None
    assert search.test_evaluator is None
    assert finals_of(pair)[0].test_dataloader.dataset.split == 'test'


def test_final_runs_take_what_validation_chose():
    pair = one_pair()
    open_run, ended = pair.search.space.slots({})
    assert pair.finals(Played({ended: 90.0})) == []
    assert pair.chosen(Played({open_run: 90.0, ended: 80.0})) == dict(
        learning_rate=0.05
    )
    configs = finals_of(pair)
    assert [cfg.randomness.seed for cfg in configs] == [0, 1]
    for cfg in configs:
        assert cfg.optim_wrapper.optimizer.lr == 0.2


def test_rates_are_for_the_batch_of_the_axis():
    pair = one_pair(search=PRESETS['vpt'], axes=(BATCHES,))
    point = dict(learning_rate=0.5, weight_decay=0.01)
    configs = [pair.final_config(index, point, 0) for index in (0, 1)]
    rates = [cfg.optim_wrapper.optimizer.lr for cfg in configs]
    assert rates == [0.5 * 4 / 256, 0.5 * 8 / 256]


def test_final_runs_may_train_on_more_and_validate_on_none():
    pair = one_pair(dataset=ON_ALL, axes=(BATCHES,))
    assert pair.search.key == one_pair().search.key
    search = pair.search.config({})
    assert search.train_dataloader.dataset.split == 'train'
    assert search.val_dataloader.dataset.split == 'val'
    configs = finals_of(pair)
    assert [cfg.train_dataloader.batch_size for cfg in configs[::2]] == [4, 8]
    for cfg in configs:
        assert cfg.optim_wrapper.optimizer.lr == 0.2
        assert cfg.train_dataloader.dataset.split == 'val'
        for part in ('dataloader', 'cfg', 'evaluator'):
            assert cfg[f'val_{part}'] is None
        assert 'save_best' not in cfg.default_hooks.checkpoint
        assert cfg.test_dataloader.dataset.split == 'test'
    wrong = replace(ON_ALL, final={'train_dataloader.datset': 1})
    text = "final of data set 'digits', .*unknown key 'datset'"
    with pytest.raises(ValueError, match=text):
        one_pair(dataset=wrong)


def test_a_failed_search_has_no_final_runs():
    pair = one_pair()
    first, second = pair.search.space.slots({})
    failed = Played({first: None, second: None})
    assert pair.has_failed(failed)
    assert pair.finals(failed) == []
    assert not pair.has_failed(Played({first: None}))


def test_vpt_uses_sgd_at_rates_for_a_batch_of_256():
    search = one_pair(PRESETS['vpt']).search
    point = next(iter(search.space.slots({}).values()))
    assert search.config(point).optim_wrapper.optimizer.to_dict() == dict(
        type='SGD', momentum=0.9, lr=50 * 16 / 256, weight_decay=0.01
    )


def test_splits_that_share_images_end_the_start():
    fraction = 'val_dataloader.dataset.val_fraction'
    cut = dict(
        type='TrainValSplit',
        dataset=dict(type='SklearnDigits', split='train', pipeline=[]),
    )
    options = {
        f'{part}_dataloader.dataset': dict(_delete_=True, part=part, **cut)
        for part in ('train', 'val')
    }
    one_pair(cfg_options=options)
    with pytest.raises(ValueError, match='digits, m: train_dataloader and va'):
        one_pair(cfg_options={**options, fraction: 0.3})
    # Final runs are looked at, too.
    test = dict(_delete_=True, part='val', val_fraction=0.3, **cut)
    data = DataSet('digits', final={'test_dataloader.dataset': test})
    with pytest.raises(ValueError, match='digits, m: train_dataloader and te'):
        one_pair(cfg_options=options, dataset=data)


def test_a_method_without_the_axis_is_a_reference():
    methods = (Method('a', VPTM, TWO_RATES), Method('b', VPT, TWO_RATES))
    ours, baseline = make_pairs(
        make_plan(methods=methods, axes=(LENGTH, DIMS))
    )
    assert [(v.axis, v.value) for v in ours.variants] == [
        ('prompt_length', '5'),
        ('prompt_length', '10'),
        ('prototype_dim', '64'),
        ('prototype_dim', '128'),
    ]
    assert [(v.axis, v.value) for v in baseline.variants] == [
        ('prompt_length', '5'),
        ('prompt_length', '10'),
        ('prototype_dim', ''),
    ]
    keys = [series.key for series in ours.finals(Played())]
    assert keys[1] == keys[3]  # both are the default, measured once
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ('key', 'search'),
    [
        ('optim_wrapper.optimizer.lr', TWO_RATES),
        ('optim_wrapper.optimizer', TWO_RATES),
        ('optim_wrapper.optimizer.weight_decay', PRESETS['tpe']),
        ('optim_wrapper.optimizer.betas', PRESETS['vpt-adamw']),
    ],
)
def test_an_axis_over_what_is_searched_is_refused(key, search):
    axis = make_axis('rate', key, (0.1, 0.2))
    methods = (Method('VPTM', VPTM, search),)
    with pytest.raises(ValueError, match=f"axis 'rate' sets {key}, and so"):
        make_pairs(make_plan(axes=(axis,), methods=methods))


def test_other_keys_that_are_searched_are_refused():
    key = 'optim_wrapper.optimizer.lr'
    with pytest.raises(ValueError, match=f'--cfg-options sets {key}, and so'):
        one_pair(overrides={key: 0.3})
    dataset = DataSet('digits', final={key: 0.3})
    with pytest.raises(ValueError, match=f"final of 'digits' sets {key}, and"):
        one_pair(dataset=dataset)
    one_pair(PRESETS['fixed'], overrides={key: 0.3})


def test_an_axis_over_rates_that_are_not_searched():
    axis = make_axis('rate', 'optim_wrapper.optimizer.lr', (0.1, 0.2))
    methods = (Method('VPTM', VPTM, PRESETS['fixed']),)
    (pair,) = make_pairs(make_plan(axes=(axis,), methods=methods))
    rates = {cfg.optim_wrapper.optimizer.lr for cfg in finals_of(pair)}
    assert rates == {0.1, 0.2}


def test_an_axis_that_names_nothing():
    typo = make_axis('length', 'model.backbone.prompt_lenght', (1,))
    with pytest.raises(ValueError, match="axis 'length': no method has 'mod"):
        make_pairs(make_plan(axes=(typo,)))


@pytest.mark.parametrize(
    'changed',
    [
        dict(learning_rate=(2.0, 10.0)),
        dict(weight_decay=(0.2, 0.4)),
    ],
)
def test_another_box_is_another_search(changed):
    """Points of the old one are neither its results nor in its box."""
    few = replace(PRESETS['tpe'], trials=2)
    old, new = one_pair(few), one_pair(replace(few, **changed))
    assert old.search.key != new.search.key
    assert old.search.key == one_pair(replace(few, trials=3)).search.key


def test_one_data_set_may_choose_for_all():
    other = DataSet('other', cfg_options={'train_dataloader.batch_size': 8})
    plan = make_plan(
        methods=(Method('m', LINEAR, TWO_RATES),),
        datasets=(other, DataSet('digits')),
        search_on='digits',
    )
    follower, searcher = make_pairs(plan)
    assert follower.search is None
    assert follower.finals(Played({})) == []
    assert follower.is_at_end(Played())
    for cfg in finals_of(follower):
        assert cfg.train_dataloader.batch_size == 8
        assert cfg.optim_wrapper.optimizer.lr == 0.2
    first, second = searcher.search.space.slots({})
    failed = Played({first: None, second: None})
    assert follower.has_failed(failed)
    assert follower.finals(failed) == []


def test_the_data_set_that_chooses_must_be_compared():
    with pytest.raises(ValueError, match=r"'flowers' is none .*: digits\. Na"):
        make_pairs(make_plan(search_on='flowers'))


def test_images_are_compared_once_for_methods_that_read_the_same(monkeypatch):
    listed = []
    monkeypatch.setattr(pairs, '_CHECKED', set())
    monkeypatch.setattr(pairs, 'check_splits', lambda *_: listed.append(1))
    one_pair()
    one_pair(overrides={'default_hooks.task_file': None})
    assert len(listed) == 2  # with the test set, and without
