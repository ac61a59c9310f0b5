"""Every config is found, built, and agrees with its parts."""

import copy
import json
import re
from contextlib import nullcontext
from functools import cache

import pytest
import torch
from mmengine.config import Config
from mmengine.visualization import Visualizer
from mmpretrain.registry import DATASETS, HOOKS, MODELS, TRANSFORMS

from vptm_mm.datasets import VTAB1k
from vptm_mm.nn import Unfilled, trainable_parameters

from .conftest import ROOT, random_class_means

CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))
MAIN = [path for path in CONFIGS if '_base_' not in path.parts]
BASELINES = [path for path in MAIN if path.parent.name == 'baselines']
# Those that do not share the backbone.
YARDSTICKS = [path for path in BASELINES if path.stem.endswith('_folder')]


def name_of(path):
    return str(path.relative_to(ROOT))


@cache
def read(path) -> Config:
    """Read a config once; take a copy to change it."""
    return Config.fromfile(path)


def transforms(dataset: dict) -> list:
    while 'pipeline' not in dataset:
        dataset = dataset['dataset']
    return dataset['pipeline']


def test_all_are_found():
    assert len(MAIN) == 73
    assert len(BASELINES) == 26
    assert len(YARDSTICKS) == 2
    assert ROOT / 'configs' / 'vptm_beitv2_cub.py' in MAIN


@pytest.mark.parametrize('path', CONFIGS, ids=name_of)
def test_docstring_says_what_it_is(path):
    text = path.read_text()
    assert text.startswith('"""')
    docstring = re.sub(r'\\\s+', '', text.split('"""')[1])
    if path in MAIN:
        assert f'python tools/train.py {name_of(path)}' in docstring
        assert re.search(r'[Nn]ot yet measured|Result|Measured', docstring)


ODD = """a\\b's "folder" {{x}}"""


def test_a_path_of_the_environment_may_hold_any_character(monkeypatch):
    texts = {path: path.read_text() for path in CONFIGS}
    assert not [path for path, text in texts.items() if '{{$' in text]
    reading = [path for path, text in texts.items() if '.environ' in text]
    assert len(reading) == 27
    for path in reading:
        names = re.findall(r"environ\.get\(\s*'(\w+)'", texts[path])
        for name in names:
            monkeypatch.setenv(name, ODD)
        cfg = Config.fromfile(path)
        assert str(cfg.to_dict()).count(repr(ODD)) >= len(names) > 0, path
    again = Config.fromstring(cfg.pretty_text, '.py')
    assert again.to_dict() == cfg.to_dict()


@cache
def build_backbone(text: str) -> torch.nn.Module:
    """Build a backbone from its config in JSON."""
    cfg = json.loads(text)
    # Random weights of the large ones would take a second each.
    with Unfilled() if cfg['init_cfg'] is None else nullcontext():
        return MODELS.build(cfg)


@pytest.mark.parametrize(
    'path', [path for path in MAIN if path not in YARDSTICKS], ids=name_of
)
def test_builds(path, monkeypatch, tmp_path):
    # The head of a folder has as many classes as the folder.
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
    monkeypatch.setenv('IMAGE_FOLDER', str(tmp_path))
    folder = 'folder' in path.name
    cfg = Config.fromfile(path) if folder else copy.deepcopy(read(path))
    if cfg.model.type == 'ImageClassifier':
        # Weights of the large models are not at hand; one forward of the
        # others needs theirs.
        packaged = cfg.model.backbone.init_cfg.checkpoint.startswith('vptm_mm')
        if not packaged:
            source = cfg.model.backbone.init_cfg.checkpoint
            # Those of the tiny and small ones are the user's own.
            assert source.startswith(('https', 'work_dirs'))
            cfg.model.backbone.init_cfg = None
    cfg.model.data_preprocessor = cfg.data_preprocessor
    parts = cfg.model.to_dict()
    if cfg.model.type == 'ImageClassifier':
        parts['backbone'] = build_backbone(json.dumps(parts['backbone']))
    is_small = re.search('-(tiny|mini)_', path.name)
    with nullcontext() if is_small else Unfilled():
        model = MODELS.build(parts)
    assert trainable_parameters(model)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if loader in cfg:
            for transform in transforms(cfg[loader].dataset):
                TRANSFORMS.build(transform)
    Visualizer.get_instance(path.stem)  # VisualizationHook asks for one.
    for hook in cfg.default_hooks.values():
        if hook:
            HOOKS.build(hook)
    if cfg.model.type == 'ImageClassifier':
        backbone, head = model.backbone, model.head
        if hasattr(backbone, 'out_channels'):
            assert head.in_channels == backbone.out_channels
        random_class_means(head)
        if packaged:
            size = backbone.encoder.img_size
            assert model(torch.zeros(1, 3, *size)).shape == (
                1,
                head.num_classes,
            )
        assert cfg.default_hooks.checkpoint.save_best == 'accuracy/top1'
        assert cfg.test_dataloader != cfg.val_dataloader


@pytest.mark.parametrize('path', MAIN, ids=name_of)
def test_the_hosts_own_tool_can_build_the_loaders(path):
    """It asks for persistent workers, an error where there are none."""
    cfg = read(path)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader and not loader.get('num_workers'):
            assert loader.persistent_workers is False, name


def count_classes(dataset: dict) -> int:
    """Classes that a data set has, without its files."""
    cls = DATASETS.get(dataset['type'])
    if cls is VTAB1k:
        return VTAB1k.TASKS[dataset['task']]
    if hasattr(cls, 'NUM_CLASSES'):
        return cls.NUM_CLASSES
    metainfo = {**cls.METAINFO, **dataset.get('metainfo', {})}
    return len(metainfo['classes'])


@pytest.mark.parametrize('path', MAIN, ids=name_of)
def test_number_of_classes_is_the_data_sets(path):
    cfg = read(path)
    if cfg.model.type != 'ImageClassifier':
        return
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = cfg[loader].dataset
        while 'dataset' in dataset:
            dataset = dataset.dataset
        if dataset.type == 'ImageFolder':  # test_configs_run.py
            continue
        assert cfg.model.head.num_classes == count_classes(dataset)


def test_there_is_a_config_for_each_task_of_vtab():
    folder = ROOT / 'configs' / 'vtab'
    tasks = {p.stem.partition('vtab-')[2] for p in folder.glob('*.py')}
    assert tasks == set(VTAB1k.TASKS)
    for task in tasks:
        cfg = read(folder / f'vptm_beitv2_vtab-{task}.py')
        splits = {}
        for part in ('train', 'val', 'test'):
            dataset = cfg[f'{part}_dataloader'].dataset
            assert dataset.task == task
            splits[part] = dataset.split
        assert splits == dict(train='train800', val='val200', test='test')


@pytest.mark.parametrize('path', MAIN, ids=name_of)
def test_the_test_set_chooses_nothing(path):
    """What validates is of the training images, or an official val split."""
    cfg = read(path)
    if cfg.model.type != 'ImageClassifier':
        return
    val, test = cfg.val_dataloader.dataset, cfg.test_dataloader.dataset
    if val.type == 'TrainValSplit':
        assert val.part == 'val'
        assert val.dataset.split != test.split
        train = cfg.train_dataloader.dataset
        if train.type == 'KShot':
            train = train.dataset
        assert train.part == 'train'
        for key in ('val_fraction', 'seed'):
            assert train.get(key) == val.get(key)
    else:
        assert val.split in ('val', 'val200')
        assert test.split == 'test'


# Configs of users, written before the folders were put in order.
INHERITING = {
    'a config': """
_base_ = '{configs}/vptm_beitv2-tiny_digits.py'

model = dict(backbone=dict(prompt_length=4), head=dict(num_classes=3))
custom_hooks = [*_base_.custom_hooks, dict(type='EMAHook')]
train_dataloader = dict(batch_size=16)
default_hooks = dict(checkpoint=dict(interval=2))
""",
    'parts': """
_base_ = [
    '{configs}/_base_/models/linear_beitv2-tiny.py',
    '{configs}/_base_/datasets/cifar10_224.py',
    '{configs}/_base_/vptm_runtime.py',
    '{configs}/_base_/schedules/vptm_100e.py',
]

model = dict(backbone=dict(readout='patches'))
train_dataloader = dict(dataset=dict(val_fraction=0.2))
train_pipeline = [dict(type='Rotate', angle=5.0), *_base_.train_pipeline]
param_scheduler = [
    dict(_base_.param_scheduler[0], end=1),
    dict(_base_.param_scheduler[1], begin=1),
]
""",
    'a task of VTAB': """
_base_ = '{configs}/_base_/vptm_beitv2_vtab1k.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='LoRABackbone',
        encoder={{{{_base_.model.backbone.encoder}}}},
        init_cfg=None,
    ),
    head=dict(num_classes=4),
)
train_dataloader = dict(dataset=dict(task='kitti'))
val_dataloader = dict(dataset=dict(task='kitti'))
test_dataloader = dict(dataset=dict(task='kitti'))
train_cfg = dict(max_epochs=3)
""",
}


@pytest.mark.parametrize('text', INHERITING.values(), ids=INHERITING)
def test_a_users_config_inherits_ours(text, tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(text.format(configs=ROOT / 'configs'))
    cfg = Config.fromfile(file)
    model = MODELS.build(
        dict(cfg.model, data_preprocessor=cfg.data_preprocessor)
    )
    assert trainable_parameters(model)
    kept = {hook['type'] for hook in cfg.custom_hooks}
    kept |= {hook['type'] for hook in cfg.default_hooks.values()}
    assert {'TaskFileHook', 'ResumableCheckpointHook'} <= kept
    for hook in cfg.custom_hooks:
        HOOKS.build(hook)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for transform in transforms(cfg[loader].dataset):
            TRANSFORMS.build(transform)
    assert [one.type for one in cfg.param_scheduler] == [
        'LinearLR',
        'CosineAnnealingLR',
    ]


@pytest.mark.parametrize(
    'path', [path for path in BASELINES if path not in YARDSTICKS], ids=name_of
)
def test_baselines_share_encoder_runner_data_and_seed(path):
    data = path.stem.partition('_')[2]
    ours = copy.deepcopy(read(ROOT / 'configs' / f'vptm_{data}.py'))
    baseline = copy.deepcopy(read(path))
    backbones = [cfg.pop('model').backbone for cfg in (ours, baseline)]
    for key in ('encoder', 'init_cfg'):
        assert backbones[0][key] == backbones[1][key]
    for cfg in (ours, baseline):
        assert cfg.optim_wrapper.optimizer.pop('lr') > 0
    # Of the optimizer, only full fine-tuning has a recipe of its own.
    if path.name.startswith('full_'):
        assert (
            baseline.optim_wrapper.pop('paramwise_cfg').layer_decay_rate
            == 0.65
        )
        baseline.optim_wrapper.constructor = ours.optim_wrapper.constructor
    assert baseline.to_dict() == ours.to_dict()
