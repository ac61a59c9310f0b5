"""From plan to configs: what a run is, and what it may read."""

from dataclasses import replace

import pytest

from vptm_mm.checkpoints.download import sha256
from vptm_mm.compare import run_configs
from vptm_mm.compare.board import DONE, FAILED, RUNNING, Board, Entry
from vptm_mm.compare.jobs import Pair, make_pairs
from vptm_mm.compare.plan import Axis, DataSet, Method
from vptm_mm.compare.plan_file import load_plan, shown
from vptm_mm.compare.run_configs import ACCURACY
from vptm_mm.compare.search import PRESETS, GridSearch, Point, TPESearch
from vptm_mm.compare.worker import count
from vptm_mm.engine.launch import LOADERS

from .made_plan import (
    CONFIGS,
    LINEAR,
    ON_ALL,
    SMALL,
    TWO_RATES,
    VPT,
    VPTM,
    make_axis,
    make_plan,
)

LENGTH = make_axis('prompt_length', 'model.backbone.prompt_length', (5, 10))
BATCHES = make_axis('batch', 'train_dataloader.batch_size', (4, 8))
DIMS = make_axis('prototype_dim', 'model.head.prototype_dim', (64, 128))


def one_pair(search=TWO_RATES, config=LINEAR, dataset=None, **changes) -> Pair:
    plan = make_plan(methods=(Method('m', config, search),), **changes)
    return Pair(plan, dataset or plan.datasets[0], plan.methods[0])


def played(pair, board=None) -> Board:
    """A board on which the search has ended; large rates are best."""
    board = board or Board()
    while (job := pair.open_search(board)) is not None:
        entry = Entry(job.key, DONE, job.slot, vars(job.point))
        entry.result = dict(val=job.point.learning_rate)
        board.entries[job.key] = entry
    return board


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


def test_a_method_without_validation_images_is_named():
    method = Method('m', LINEAR, TWO_RATES, {'val_dataloader': None})
    text = 'digits, m: .*linear-cls.* has no val_dataloader. Give it one'
    with pytest.raises(ValueError, match=text):
        make_pairs(make_plan(methods=(method,)))


def test_a_running_or_failed_slot_is_not_given_out_again():
    pair = one_pair()
    job = pair.open_search(Board())
    for state in (RUNNING, FAILED):
        entry = Entry(job.key, state, job.slot, vars(job.point))
        assert pair.open_search(Board([entry])).slot != job.slot


def test_equal_settings_have_equal_keys_and_others_do_not():
    def keys(**changes):
        pair = one_pair(**changes)
        board = played(pair)
        return {pair.open_search(Board()).key, pair.finals(board)[0].key}

    assert keys() == keys()
    other = {**SMALL, 'train_dataloader.batch_size': 8}
    assert not keys() & keys(cfg_options=other)
    # What is not searched counts, what is searched does not.
    decay = {**SMALL, 'optim_wrapper.optimizer.weight_decay': 0.5}
    assert not keys() & keys(cfg_options=decay)
    rate = {**SMALL, 'optim_wrapper.optimizer.lr': 0.5}
    assert keys() == keys(cfg_options=rate)
    # A tuple in a config and a list in a plan are the same run.
    deep = {**SMALL, 'model.backbone.prompt_blocks': [0]}
    assert keys(config=VPT) == keys(config=VPT, cfg_options=deep)


@pytest.fixture
def digested(monkeypatch):
    """The files that were digested, whatever was before."""
    files = []

    def digest(path):
        files.append(path.name)
        return sha256(path)

    monkeypatch.setattr(run_configs, 'sha256', digest)
    run_configs._sha256_of.cache_clear()
    return files


CHECKPOINT = 'model.backbone.init_cfg.checkpoint'


def test_other_weights_in_a_file_are_another_run(tmp_path, digested):
    file = tmp_path / 'backbone.pth'
    options = {**SMALL, CHECKPOINT: str(file)}

    def keys():
        run_configs._sha256_of.cache_clear()
        pair = one_pair(cfg_options=options)
        search = pair.open_search(Board())
        final = pair.final(0, Point(0.1), 0)
        return [search.key, search.digest, final.key, final.digest]

    found = []
    for content in (None, b'first', b'second', b'first'):
        if content is not None:  # a file that is gone is the run's error
            file.write_bytes(content)
        found.append(keys())
    assert found[3] == found[1]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not set(found[one]) & set(found[other])
    # Once for all runs, not once a run.
    assert digested == ['backbone.pth'] * 3


def test_which_weights_are_digested(tmp_path, digested):
    one_pair().final(0, Point(0.1), 0)
    assert digested == ['beitv2-tiny_digits.pth']
    remote = {**SMALL, CHECKPOINT: 'https://example.org/backbone.pth'}
    one_pair(cfg_options=remote).final(0, Point(0.1), 0)
    assert len(digested) == 1
    file = tmp_path / 'whole.pth'
    file.write_bytes(b'weights')
    loaded = {**SMALL, 'load_from': str(file)}
    one_pair(cfg_options=loaded).final(0, Point(0.1), 0)
    assert digested[1:] == ['whole.pth']


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


LOADER = """
{part}_dataloader = dict(
    batch_size=8,
    dataset=dict({dataset}, pipeline=[]),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
"""
DIGITS = "type='SklearnDigits', split='{part}'"


def write_data(folder, *parts, dataset=DIGITS, more=''):
    path = folder / 'data.py'
    loaders = [
        LOADER.format(part=part, dataset=dataset.format(part=part))
        for part in parts
    ]
    path.write_text('\n'.join([*loaders, more]))
    return path


def test_all_data_comes_from_the_config_of_a_data_set(tmp_path):
    path = write_data(
        tmp_path,
        *('train', 'val', 'test'),
        more="val_evaluator = dict(type='Accuracy', topk=(1, 5))",
    )
    data = DataSet('other', path, {'train_dataloader.batch_size': 4})
    base = one_pair(dataset=data, cfg_options={}).base
    assert base.train_dataloader.batch_size == 4
    for part in ('train', 'val', 'test'):
        assert base[f'{part}_dataloader'].dataset.pipeline == []
    assert base.val_evaluator.topk == (1, 5)
    assert base.test_evaluator.topk == (1,)  # the method's
    assert base.model.head.num_classes == 10  # it has no head


def test_a_data_set_with_a_head_says_how_many_classes_there_are(tmp_path):
    head = 'model = dict(head=dict(num_classes=7))'
    path = write_data(tmp_path, 'train', 'val', 'test', more=head)
    for options, classes in ({}, 7), ({'model.head.num_classes': 3}, 3):
        data = DataSet('other', path, options)
        base = one_pair(dataset=data, cfg_options={}).base
        assert base.model.head.num_classes == classes


@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_a_data_set_lends_no_images_from_the_method(tmp_path, part):
    """Else rates would be chosen on images of another data set."""
    parts = {'train', 'val', 'test'} - {part}
    data = DataSet('other', write_data(tmp_path, *parts))
    text = f"data set 'other': .*data.py has no {part}_dataloader; give it"
    with pytest.raises(ValueError, match=text):
        one_pair(dataset=data, cfg_options={})


def test_red_stays_red(tmp_path):
    """MMPretrain's own CIFAR, for one, is RGB, the digits are BGR."""
    path = write_data(
        tmp_path,
        *('train', 'val', 'test'),
        more='data_preprocessor = dict(to_rgb=False)',
    )
    base = one_pair(dataset=DataSet('RGB', path), cfg_options={}).base
    own = one_pair().base.data_preprocessor
    assert own.to_rgb is True
    assert base.data_preprocessor == {**own, 'to_rgb': False}


@pytest.mark.parametrize('name', ['folder_32.py', 'folder_32_kshot.py'])
def test_folders_of_images(name, tmp_path, monkeypatch):
    for part in ('TRAIN', 'TEST'):
        (tmp_path / part).mkdir()
        monkeypatch.setenv(f'{part}_FOLDER', str(tmp_path / part))
    data = DataSet('a folder', CONFIGS / '_base_' / 'datasets' / name)
    base = one_pair(dataset=data, cfg_options={}).base
    assert base.data_preprocessor == one_pair().base.data_preprocessor
    assert base.train_dataloader.batch_size == 64


def test_a_data_set_that_is_not_there_ends_the_start(tmp_path):
    gone = f"type='CustomDataset', data_root='{tmp_path}/none'"
    path = write_data(tmp_path, 'train', 'val', 'test', dataset=gone)
    with pytest.raises(FileNotFoundError, match='no .*none'):
        one_pair(dataset=DataSet('other', path), cfg_options={})


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


def test_files_that_are_no_configs_are_named(tmp_path):
    readme = tmp_path / 'README.md'
    readme.touch()
    with pytest.raises(ValueError, match="method 'm': .*README.md cannot be"):
        one_pair(config=readme)
    with pytest.raises(ValueError, match="data set 'other': .*README.md cann"):
        one_pair(dataset=DataSet('other', readme))
    path = tmp_path / 'config.py'
    path.write_text('_base_ = "./none.py"')
    with pytest.raises(
        FileNotFoundError, match="method 'm': .*config.py .*no"
    ):
        one_pair(config=path)


@pytest.mark.parametrize(
    ('text', 'missing'),
    [
        (
            "train_cfg = dict(max_epochs=1)\nmodel = dict(type='A')",
            'optim_wra',
        ),
        (
            "optim_wrapper = dict(optimizer=dict(type='SGD'))",
            'model, train_da',
        ),
    ],
)
def test_configs_that_lack_a_part_are_named(tmp_path, text, missing):
    path = tmp_path / 'config.py'
    path.write_text(text)
    with pytest.raises(ValueError, match=f'digits, m: .* has no {missing}'):
        one_pair(config=path, cfg_options={})


@pytest.mark.parametrize('hooks', ['None', 'dict(checkpoint=None)', '{}'])
def test_a_config_may_leave_the_hooks_to_the_host(tmp_path, hooks):
    path = tmp_path / 'config.py'
    path.write_text(
        f'from mmengine.config import Config\ncfg = Config.fromfile('
        f'{str(LINEAR)!r})\nglobals().update(cfg.to_dict())\n'
        f'default_hooks = {hooks}\ndel cfg, Config\n'
    )
    pair = one_pair(config=path)
    hook = pair.final(0, Point(0.1), 0).cfg.default_hooks.checkpoint
    assert (hook.type, hook.save_best) == ('CheckpointHook', ACCURACY)


def test_unknown_options_are_errors():
    text = "the plan, .*unknown key 'max_epoch'.*train_cfg.max_epochs"
    with pytest.raises(ValueError, match=text):
        one_pair(cfg_options={'train_cfg.max_epoch': 1})
    method = Method('m', LINEAR, TWO_RATES, {'model.head.tau': 1})
    with pytest.raises(ValueError, match="method 'm'.*unknown key 'tau'"):
        make_pairs(make_plan(methods=(method,)))


def test_a_method_that_trains_by_iterations_is_named():
    loop = dict(_delete_=True, by_epoch=False, max_iters=9, val_interval=3)
    method = Method('m', LINEAR, TWO_RATES, {'train_cfg': loop})
    text = "method 'm': train_cfg={.*} of .*.py has no max_epochs; comparis"
    with pytest.raises(ValueError, match=text):
        make_pairs(make_plan(methods=(method,), cfg_options={}))


def test_options_are_merged_in_order():
    size = 'train_dataloader.batch_size'
    prompts = 'model.backbone.prompt_length'
    data = DataSet('digits', cfg_options={size: 2, prompts: 2})
    method = Method('m', VPTM, TWO_RATES, {size: 3, prompts: 3})
    plan = make_plan(cfg_options={size: 1, prompts: 1}, axes=(LENGTH,))
    base = Pair(plan, data, method).base
    assert base.train_dataloader.batch_size == 3
    # The command line comes last; but an axis is what is to be measured.
    plan = replace(plan, overrides={size: 4, prompts: 4})
    pair = Pair(plan, data, method)
    assert pair.base.train_dataloader.batch_size == 4
    final = pair.final(1, Point(0.1), 0).cfg
    assert final.train_dataloader.batch_size == 4
    assert final.model.backbone.prompt_length == 10
    wrong = replace(plan, overrides={'model.head.tau': 1})
    with pytest.raises(ValueError, match="the command line, .*key 'tau'"):
        Pair(wrong, data, method)


def test_a_method_without_the_axis_is_a_reference():
    methods = (Method('a', VPTM, TWO_RATES), Method('b', VPT, TWO_RATES))
    ours, rival = make_pairs(make_plan(methods=methods, axes=(LENGTH, DIMS)))
    assert [(v.axis, v.value) for v in ours.variants] == [
        ('prompt_length', '5'),
        ('prompt_length', '10'),
        ('prototype_dim', '64'),
        ('prototype_dim', '128'),
    ]
    assert [(v.axis, v.value) for v in rival.variants] == [
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
    ('value', 'text'),
    [
        (5, '5'),
        ([0], '0'),
        ([], 'none'),
        ([0, 1], '0, 1'),
        ((0, 1, 2, 3), '0-3'),
        ([0, 2, 4], '0, 2, 4'),
        ('cls', 'cls'),
        (['cls', 'avg', 'max'], 'cls, avg, max'),
        ([0.5, 1.5, 2.5], '0.5, 1.5, 2.5'),
    ],
)
def test_values_as_tick_labels(value, text):
    assert shown(value) == text


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


def test_each_seed_draws_other_images_of_a_k_shot_set():
    plan = load_plan(CONFIGS / 'compare' / 'digits-kshot.yml', CONFIGS)
    plan = plan.select_methods(['VPTM'], ()).along(['shots'])
    (pair,) = make_pairs(plan)
    jobs = pair.finals(played(pair))
    drawn = [
        (dataset.shots, dataset.seed, job.cfg.randomness.seed)
        for job in jobs
        for dataset in [job.cfg.train_dataloader.dataset]
    ]
    assert drawn == [
        (shots, seed, seed) for shots in (1, 2, 4, 8, 16) for seed in range(5)
    ]


def test_a_k_shot_set_in_a_wrapper_is_drawn_anew_too():
    digits = dict(type='SklearnDigits', split='train', pipeline=[])
    drawn = dict(type='KShot', shots=1, dataset=digits)
    wrapped = dict(
        _delete_=True,
        type='RepeatDataset',
        times=2,
        dataset=dict(type='ConcatDataset', datasets=[digits, drawn, drawn]),
    )
    pair = one_pair(cfg_options={'train_dataloader.dataset': wrapped})
    inner = pair.final(0, Point(0.1), 3).cfg.train_dataloader.dataset.dataset
    assert [one.get('seed') for one in inner.datasets] == [None, 3, 3]


def test_classes_are_drawn_anew_in_all_data_sets():
    digits = dict(type='SklearnDigits', pipeline=[])
    options = {
        f'{part}_dataloader.dataset': dict(
            _delete_=True,
            type='mmpretrain.NWay',
            ways=2,
            dataset=dict(digits, split=part),
        )
        for part in ('train', 'val', 'test')
    }
    cfg = one_pair(cfg_options=options).final(0, Point(0.1), 3).cfg
    assert [cfg[loader].dataset.seed for loader in LOADERS] == [3, 3, 3]


def test_images_that_are_cut_afterwards_are_drawn_alike():
    """Else the validation part would hold images of the training part."""
    digits = dict(type='SklearnDigits', split='train', pipeline=[])
    options = {
        f'{part}_dataloader.dataset': dict(
            _delete_=True,
            type='TrainValSplit',
            part=part,
            dataset=dict(type='KShot', shots=16, dataset=digits),
        )
        for part in ('train', 'val')
    }
    cfg = one_pair(cfg_options=options).final(0, Point(0.1), 3).cfg
    drawn = [cfg[loader].dataset.dataset for loader in LOADERS[:2]]
    assert [one.seed for one in drawn] == [3, 3]
