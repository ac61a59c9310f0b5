"""Configs of runs: what is merged, what a seed samples."""

from dataclasses import replace

import pytest

from vptm_mm.compare.pairs import Pair, make_pairs
from vptm_mm.compare.plan import DataSet, Method
from vptm_mm.compare.plan_file import load_plan
from vptm_mm.compare.run_configs import ACCURACY
from vptm_mm.engine.launch import LOADERS

from ..made_datasets import make_image_folder
from .made_plan import (
    CONFIGS,
    LINEAR,
    TWO_RATES,
    VPTM,
    finals_of,
    make_axis,
    make_plan,
    one_pair,
)

LENGTH = make_axis('prompt_length', 'model.backbone.prompt_length', (5, 10))


def test_a_method_without_validation_images_is_named():
    method = Method('m', LINEAR, TWO_RATES, {'val_dataloader': None})
    text = 'digits, m: .*linear-cls.* has no val_dataloader. Give it one'
    with pytest.raises(ValueError, match=text):
        make_pairs(make_plan(methods=(method,)))


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
        root = make_image_folder(tmp_path / part, classes=2, images=160)
        monkeypatch.setenv(f'{part}_FOLDER', str(root))
    data = DataSet('a folder', CONFIGS / '_base_' / 'datasets' / name)
    base = one_pair(dataset=data, cfg_options={}).base
    assert base.data_preprocessor == one_pair().base.data_preprocessor
    assert base.train_dataloader.batch_size == 64


def test_a_data_set_that_is_not_there_ends_the_start(tmp_path):
    gone = f"type='CustomDataset', data_root='{tmp_path}/none'"
    path = write_data(tmp_path, 'train', 'val', 'test', dataset=gone)
    with pytest.raises(FileNotFoundError, match='no .*none'):
        one_pair(dataset=DataSet('other', path), cfg_options={})


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
def test_the_best_is_tested_whatever_hooks_a_config_has(tmp_path, hooks):
    path = tmp_path / 'config.py'
    path.write_text(
        f'from mmengine.config import Config\ncfg = Config.fromfile('
        f'{str(LINEAR)!r})\nglobals().update(cfg.to_dict())\n'
        f'default_hooks = {hooks}\ndel cfg, Config\n'
    )
    pair = one_pair(config=path)
    hook = pair.final_config(0, {}, 0).default_hooks.checkpoint
    assert (hook.save_best, hook.test_best) == (ACCURACY, True)


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
    final = pair.final_config(1, {}, 0)
    assert final.train_dataloader.batch_size == 4
    assert final.model.backbone.prompt_length == 10
    wrong = replace(plan, overrides={'model.head.tau': 1})
    with pytest.raises(ValueError, match="the command line, .*key 'tau'"):
        Pair(wrong, data, method)


def test_each_seed_samples_other_images_of_a_k_shot_set():
    plan = load_plan(CONFIGS / 'compare' / 'digits-kshot.yml', CONFIGS)
    plan = plan.select_methods(['VPTM'], ()).along(['shots'])
    (pair,) = make_pairs(plan)
    sampled = [
        (dataset.shots, dataset.seed, cfg.randomness.seed)
        for cfg in finals_of(pair)
        for dataset in [cfg.train_dataloader.dataset]
    ]
    assert sampled == [
        (shots, seed, seed) for shots in (1, 2, 4, 8, 16) for seed in range(5)
    ]


def test_a_k_shot_set_in_a_wrapper_is_sampled_too():
    digits = dict(type='SklearnDigits', split='train', pipeline=[])
    kshot = dict(type='KShot', shots=1, dataset=digits)
    wrapped = dict(
        _delete_=True,
        type='RepeatDataset',
        times=2,
        dataset=dict(type='ConcatDataset', datasets=[digits, kshot, kshot]),
    )
    pair = one_pair(cfg_options={'train_dataloader.dataset': wrapped})
    inner = pair.final_config(0, {}, 3).train_dataloader.dataset.dataset
    assert [one.get('seed') for one in inner.datasets] == [None, 3, 3]


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
