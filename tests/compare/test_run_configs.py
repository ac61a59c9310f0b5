"""Configs of runs: what is merged, what a seed samples."""

from dataclasses import replace

import pytest

from vptm_mm.compare.pairs import Pair, make_pairs
from vptm_mm.compare.plan import DataSet, Method
from vptm_mm.engine.launch import LOADERS

from .made_plan import (
    LINEAR,
    TWO_RATES,
    VPTM,
    finals_of,
    make_axis,
    make_plan,
    one_pair,
    shipped,
)

LENGTH = make_axis('prompt_length', 'model.backbone.prompt_length', (5, 10))


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


@pytest.mark.parametrize('imports', ["'a.b'", "['a.b', 'vptm_mm']"])
def test_what_registers_a_data_set_is_imported_by_its_runs(
    tmp_path, imports, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'b.py').touch()
    more = f'custom_imports = dict(imports={imports})'
    path = write_data(tmp_path, 'train', 'val', 'test', more=more)
    base = one_pair(dataset=DataSet('other', path), cfg_options={}).base
    assert sorted(base.custom_imports.imports) == ['a.b', 'vptm_mm']
    assert base.custom_imports.allow_failed_imports is False


@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_a_data_set_lends_no_images_from_the_method(tmp_path, part):
    """Else rates would be chosen on images of another data set."""
    parts = {'train', 'val', 'test'} - {part}
    data = DataSet('other', write_data(tmp_path, *parts))
    text = f'other, m: .*data.py has no {part}_dataloader. Give it one'
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


@pytest.mark.parametrize(
    ('text', 'missing'),
    [
        ("model = dict(type='A')", 'optim_wrapper.optimizer, train_datal'),
        (f'_base_ = {str(LINEAR)!r}\nval_dataloader = None', 'val_datal'),
        (
            f'_base_ = {str(LINEAR)!r}\n'
            'train_cfg = dict(_delete_=True, max_iters=9, by_epoch=False)',
            'train_cfg.max_epochs',
        ),
    ],
)
def test_configs_that_lack_a_part_are_named(tmp_path, text, missing):
    path = tmp_path / 'config.py'
    path.write_text(text)
    with pytest.raises(ValueError, match=f'digits, m: .* has no {missing}'):
        one_pair(config=path, cfg_options={})


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
    final = pair.final_config(1, {}, 0)
    assert final.train_dataloader.batch_size == 4
    assert final.model.backbone.prompt_length == 10
    wrong = replace(plan, overrides={'model.head.tau': 1})
    with pytest.raises(ValueError, match="the command line, .*key 'tau'"):
        Pair(wrong, data, method)


def test_each_seed_samples_other_images_of_a_k_shot_set():
    plan = shipped('digits-kshot', methods=['VPTM'], axes=['shots'])
    (pair,) = make_pairs(plan)
    sampled = [
        (dataset.shots, dataset.seed, cfg.randomness.seed)
        for cfg in finals_of(pair)
        for dataset in [cfg.train_dataloader.dataset]
    ]
    assert sampled == [
        (shots, seed, seed) for shots in (1, 2, 4, 8, 16) for seed in range(5)
    ]


def test_classes_are_sampled_alike_in_all_data_sets():
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
    cfg = one_pair(cfg_options=options).final_config(0, {}, 3)
    assert [cfg[loader].dataset.seed for loader in LOADERS] == [3, 3, 3]


def test_images_that_are_split_afterwards_are_sampled_alike():
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
    cfg = one_pair(cfg_options=options).final_config(0, {}, 3)
    sampled = [cfg[loader].dataset.dataset for loader in LOADERS[:2]]
    assert [one.seed for one in sampled] == [3, 3]


def test_a_model_of_its_own_takes_no_options_of_that_of_others(tmp_path):
    """Only how many classes there are; and all that is not of the model."""
    path = tmp_path / 'cnn.py'
    path.write_text(
        f'_base_ = {str(LINEAR)!r}\n'
        "model = dict(backbone=dict(_delete_=True, type='ResNet_CIFAR', "
        'depth=18), head=dict(in_channels=512))'
    )
    width, checkpoint = (
        f'model.{key}' for key in ('head.in_channels', 'backbone.init_cfg')
    )
    batch = 'train_dataloader.batch_size'
    data = DataSet(
        'digits', None, {'model.head.num_classes': 7, width: 2, batch: 4}
    )
    plan = make_plan(
        methods=(
            Method('CNN', path, TWO_RATES, {batch: 8}, own_model=True),
            Method('linear', LINEAR, TWO_RATES),
        ),
        datasets=(data,),
        cfg_options={width: 3},
        overrides={checkpoint: None, width: 5},
        axes=(make_axis('checkpoint', checkpoint, (None,)),),
    )
    cnn, linear = (Pair(plan, data, method) for method in plan.methods)
    assert cnn.base.model.head.in_channels == 512
    assert linear.base.model.head.in_channels == 5
    assert cnn.base.model.head.num_classes == 7
    assert cnn.base.train_dataloader.batch_size == 8
    assert 'init_cfg' not in cnn.base.model.backbone
    assert [variant.value for variant in cnn.variants] == ['']
    assert [variant.value for variant in linear.variants] == ['None']
