"""From plan to runs: searches, final runs and axes."""

from dataclasses import replace

import pytest

from vptm_mm.compare.board import FAILED, RUNNING, Board, Entry
from vptm_mm.compare.jobs import make_pairs
from vptm_mm.compare.plan import Axis, DataSet, Method
from vptm_mm.compare.search import PRESETS, GridSearch, Point, TPESearch
from vptm_mm.compare.worker import count

from .made_plan import (
    LINEAR,
    ON_ALL,
    TWO_RATES,
    VPT,
    VPTM,
    make_axis,
    make_plan,
    one_pair,
    played,
)

LENGTH = make_axis('prompt_length', 'model.backbone.prompt_length', (5, 10))
BATCHES = make_axis('batch', 'train_dataloader.batch_size', (4, 8))
DIMS = make_axis('prototype_dim', 'model.head.prototype_dim', (64, 128))


def test_a_search_has_no_test_set_and_a_final_run_has():
    pair = one_pair()
    search = pair.open_search(Board()).cfg
    assert search.test_dataloader is None
    assert search.test_cfg is None
    assert search.test_evaluator is None
    final = pair.finals(played(pair))[0].cfg
    assert final.test_dataloader.dataset.split == 'test'


def test_final_runs_take_what_validation_chose():
    pair = one_pair()
    assert pair.finals(Board()) == []
    jobs = pair.finals(played(pair))
    assert [job.seed for job in jobs] == [0, 1]
    for job in jobs:
        assert job.point == Point(0.2)
        assert job.cfg.optim_wrapper.optimizer.lr == 0.2
        assert job.cfg.randomness.seed == job.seed
    assert jobs[0].key != jobs[1].key
    assert jobs[0].key == jobs[0].digest


def test_rates_are_for_the_batch_of_the_axis():
    pair = one_pair(search=PRESETS['vpt'], axes=(BATCHES,))
    jobs = [pair.final(index, Point(0.5, 0.01), 0) for index in (0, 1)]
    rates = [job.cfg.optim_wrapper.optimizer.lr for job in jobs]
    assert rates == [0.5 * 4 / 256, 0.5 * 8 / 256]


def test_final_runs_may_train_on_more_and_validate_on_none():
    pair = one_pair(dataset=ON_ALL, axes=(BATCHES,))
    assert pair.search_key == one_pair().search_key
    search = pair.open_search(Board()).cfg
    assert search.train_dataloader.dataset.split == 'train'
    assert search.val_dataloader.dataset.split == 'val'
    jobs = pair.finals(played(pair))
    assert [job.cfg.train_dataloader.batch_size for job in jobs[::2]] == [4, 8]
    for job in jobs:
        assert job.point == Point(0.2)
        assert job.cfg.train_dataloader.dataset.split == 'val'
        for part in ('dataloader', 'cfg', 'evaluator'):
            assert job.cfg[f'val_{part}'] is None
        assert 'save_best' not in job.cfg.default_hooks.checkpoint
        assert job.cfg.test_dataloader.dataset.split == 'test'
    wrong = replace(ON_ALL, final={'train_dataloader.datset': 1})
    text = "final of data set 'digits', .*unknown key 'datset'"
    with pytest.raises(ValueError, match=text):
        one_pair(dataset=wrong)


def test_more_epochs_of_final_runs_end_with_a_checkpoint():
    data = DataSet('digits', final={'train_cfg.max_epochs': 7})
    pair = one_pair(dataset=data)
    checkpoint = pair.final(0, Point(0.1), 0).cfg.default_hooks.checkpoint
    assert checkpoint.interval == 7
    assert pair.base.default_hooks.checkpoint.interval == 1


def test_a_running_or_failed_slot_is_not_given_out_again():
    pair = one_pair()
    job = pair.open_search(Board())
    for state in (RUNNING, FAILED):
        entry = Entry(job.key, state, job.slot, vars(job.point))
        assert pair.open_search(Board([entry])).slot != job.slot


def test_a_failed_search_has_no_final_runs():
    pair = one_pair()
    board = played(pair)
    for entry in board.entries.values():
        entry.state, entry.result = FAILED, dict(error='x')
    assert pair.has_failed(board)
    assert pair.finals(board) == []
    assert not pair.has_failed(Board())


def test_fixed_keeps_the_rates_of_the_config():
    pair = one_pair(PRESETS['fixed'])
    assert pair.open_search(Board()) is None
    job = pair.finals(Board())[0]
    assert job.cfg.optim_wrapper.optimizer.lr == 0.2
    assert job.cfg.optim_wrapper.optimizer.weight_decay == 0.01


def test_vpt_uses_sgd_at_rates_for_a_batch_of_256():
    pair = one_pair(PRESETS['vpt'])
    job = pair.open_search(Board())
    assert job.cfg.optim_wrapper.optimizer.to_dict() == dict(
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
    keys = [ours.final(i, Point(0.1), 0).key for i in range(4)]
    assert keys[1] == keys[3]  # both are the default, measured once
    assert len(set(keys)) == 3


def test_the_rate_is_chosen_at_the_default_for_all_values():
    plain = one_pair(config=VPTM)
    along = one_pair(config=VPTM, axes=(LENGTH,))
    assert plain.search_key == along.search_key
    assert plain.open_search(Board()).key == along.open_search(Board()).key


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


def test_a_mapping_sets_the_keys_that_it_has():
    clip = {'optim_wrapper': {'clip_grad': {'max_norm': 1.0}}}
    one_pair(dataset=DataSet('digits', final=clip))
    replaced = {'_delete_': True, 'type': 'AdamW', 'lr': 1.0}
    for wrong in {'optimizer': {'lr': 1.0}}, {'optimizer': replaced}:
        with pytest.raises(ValueError, match='sets optim_wrapper.*, and so'):
            one_pair(overrides={'optim_wrapper': wrong})


def test_an_axis_over_rates_that_are_not_searched():
    axis = make_axis('rate', 'optim_wrapper.optimizer.lr', (0.1, 0.2))
    methods = (Method('VPTM', VPTM, PRESETS['fixed']),)
    (pair,) = make_pairs(make_plan(axes=(axis,), methods=methods))
    rates = {
        job.cfg.optim_wrapper.optimizer.lr for job in pair.finals(Board())
    }
    assert rates == {0.1, 0.2}


def test_an_axis_that_a_method_has_in_part_is_refused():
    key = 'model.backbone.prompt_lenght'
    ticks = {str(n): {'train_cfg.max_epochs': n, key: n} for n in (1, 2)}
    with pytest.raises(ValueError, match=f"digits, VPTM has no '{key}', wh"):
        make_pairs(make_plan(axes=(Axis('both', ticks),)))


def test_an_axis_may_replace_a_part_and_change_it():
    digits = dict(_delete_=True, type='SklearnDigits', split='train')
    ticks = {
        str(n): {
            'train_dataloader.dataset': dict(digits, pipeline=[]),
            'train_dataloader.dataset.indices': n,
        }
        for n in (3, 5)
    }
    pair = one_pair(axes=(Axis('size', ticks),))
    for index, size in enumerate((3, 5)):
        cfg = pair.final(index, Point(0.1), 0).cfg
        assert cfg.train_dataloader.dataset == dict(
            type='SklearnDigits', split='train', pipeline=[], indices=size
        )


def test_axes_and_plans_that_name_nothing():
    typo = make_axis('length', 'model.backbone.prompt_lenght', (1,))
    with pytest.raises(ValueError, match="axis 'length': no method has 'mod"):
        make_pairs(make_plan(axes=(typo,)))
    with pytest.raises(ValueError, match="'small' is empty: 0 methods, 1 dat"):
        make_pairs(make_plan(methods=()))


@pytest.mark.parametrize(
    'changed',
    [
        dict(learning_rate=(2.0, 10.0)),
        dict(weight_decay=(0.2, 0.4)),
        dict(startup=1),
    ],
)
def test_another_box_is_another_search(changed):
    """Points of the old one are neither its results nor in its box."""
    few = TPESearch(trials=2)
    old, new = one_pair(few), one_pair(replace(few, **changed))
    board = played(old)
    assert new.search_done(board) == 0
    assert new.tried(board) == []
    played(new, board=board)
    assert new.search_done(board) == old.search_done(board) == 2


def test_more_trials_go_on_where_a_search_ended():
    board = played(one_pair(TPESearch(trials=2)))
    more = one_pair(TPESearch(trials=3))
    assert more.search_done(board) == 2
    assert more.open_search(board).slot == 'tpe-2'


def test_a_grid_is_no_part_of_a_search_in_a_box():
    grid = one_pair(GridSearch((50.0,), (0.5, 0.6)))
    box = one_pair(TPESearch(trials=1))
    board = played(box, board=played(grid))
    assert 1e-4 <= box.chosen(board).learning_rate <= 1
    assert grid.chosen(board).learning_rate == 50


def test_growth_is_asked_of_the_board():
    pair = one_pair(GridSearch((0.05, 0.2), growths=1))
    board = played(pair)
    assert [e.point['learning_rate'] for e in board.entries.values()] == [
        0.05,
        0.2,
        0.8,
    ]
    assert pair.chosen(board) == Point(0.8)


def test_one_data_set_may_choose_for_all():
    other = DataSet('other', cfg_options={'train_dataloader.batch_size': 8})
    plan = make_plan(
        methods=(Method('m', LINEAR, TWO_RATES),),
        datasets=(other, DataSet('digits')),
        search_on='digits',
    )
    follower, searcher = make_pairs(plan)
    assert follower.open_search(Board()) is None
    assert follower.finals(Board()) == []
    board = played(searcher)
    assert count([follower, searcher], board) == (2, 6)
    for job in follower.finals(board):
        assert job.point == Point(0.2)
        assert job.cfg.train_dataloader.batch_size == 8
        assert job.cfg.optim_wrapper.optimizer.lr == 0.2


def test_a_search_for_all_that_fails():
    plan = make_plan(
        datasets=(DataSet('digits'), DataSet('other')), search_on='digits'
    )
    searcher, _, follower, _ = make_pairs(plan)
    board = Board()
    while (job := searcher.open_search(board)) is not None:
        board.entries[job.key] = Entry(job.key, FAILED, job.slot)
    assert follower.has_failed(board)
    assert follower.finals(board) == []


def test_the_data_set_that_chooses_must_be_compared():
    with pytest.raises(ValueError, match=r"'flowers' is none .*: digits\. Na"):
        make_pairs(make_plan(search_on='flowers'))
