"""Every tuning config takes two steps on its data set's own format."""

import json
import math
import re
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.datasets import CIFAR10, CIFAR100
from PIL import Image

from vptm_mm.engine.launch import LOADERS, build_runner, finish_config
from vptm_mm.nn import trainable_parameters
from vptm_mm.tasks import VPTMTaskPool, load_classifier, make_task, write_task

from .conftest import ENCODER, NUM_VISUAL_TOKENS, ROOT, random_class_means
from .made_datasets import MAKERS, write_image
from .test_configs import MAIN, YARDSTICKS, name_of

SMALL = {
    'ResizeEdge': dict(scale=18),
    'Resize': dict(scale=(16, 16)),
    'RandomCrop': dict(crop_size=16),
    'CenterCrop': dict(crop_size=16),
    'RandomResizedCrop': dict(scale=16),
}
TINY_FOLDER = ROOT / 'configs' / 'vptm_beitv2-tiny_folder.py'
DIGITS = 'vptm_mm://beitv2-tiny_digits.pth'
DIGITS_TASK = 'vptm_mm://vptm_beitv2-tiny_digits.safetensors'
TINY = [
    path
    for path in MAIN
    if re.search('-(tiny|mini)_', path.name) and path.parent.name != 'pretrain'
]
BASE_SIZE = [
    path
    for path in MAIN
    if path not in [*TINY, *YARDSTICKS]
    and path.parent.name not in ('pretrain', 'vtab')
]


@pytest.fixture(scope='module')
def data_roots(tmp_path_factory):
    """Every data set, by the variable that the configs read."""
    folder = tmp_path_factory.mktemp('data')
    return {name: str(make(folder)) for name, make in MAKERS.items()}


@pytest.fixture
def environment(data_roots, checkpoint, monkeypatch):
    """The data, small weights, and no checksums of CIFAR's files."""
    for name, root in data_roots.items():
        monkeypatch.setenv(name, root)
    for size in ('SMALL', 'BASE', 'LARGE'):
        monkeypatch.setenv(f'VPTM_BEITV2_{size}', str(checkpoint))
    monkeypatch.setenv('VPTM_BEITV2_TINY', DIGITS)  # of the same size
    for cls in (CIFAR10, CIFAR100):
        for part in ('train_list', 'test_list'):
            files = [[name, None] for name, _ in getattr(cls, part)]
            monkeypatch.setattr(cls, part, files)
    # What takes much of the time: collecting garbage for each data set.
    monkeypatch.setattr('mmengine.dataset.base_dataset.gc', Mock())


def shrink(cfg: Config, work_dir) -> Config:
    """16 px, a tiny encoder, two steps of two images; all else is kept."""
    cfg.launcher = 'none'
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = str(work_dir)
    backbone = cfg.model.backbone
    backbone.encoder = dict(ENCODER)
    if backbone.type == 'VPTMBackbone':
        backbone.num_visual_tokens = NUM_VISUAL_TOKENS
    if 'prompt_blocks' in backbone:
        blocks = ENCODER['arch']['num_layers']
        backbone.prompt_blocks = sorted(
            {b % blocks for b in backbone.prompt_blocks}
        )
    places = backbone.get('pool_grid', 1) ** 2
    cfg.model.head.in_channels = places * ENCODER['arch']['embed_dims']
    cfg.train_dataloader.batch_size = 2
    cfg.train_dataloader.num_batch_per_epoch = 2
    cfg.train_cfg.max_epochs = 1
    for name in LOADERS:
        cfg[name].num_workers = 0
        cfg[name].collate_fn = dict(type='default_collate')
        dataset = cfg[name].dataset
        if dataset.type == 'KShot':
            dataset.shots = 1
        while 'dataset' in dataset:
            dataset = dataset.dataset
        for transform in dataset.pipeline:
            transform.update(SMALL.get(transform.type, {}))
    return cfg


def take_two_steps(cfg: Config, work_dir: Path) -> Runner:
    if cfg.default_hooks.class_means:
        # Else each of four images is read 250 times.
        cfg.default_hooks.class_means.least_views = 1
    runner = build_runner(cfg, LOADERS)
    runner.train()
    assert runner.iter == 2
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 2
    assert all(math.isfinite(loss) for loss in losses)
    result = json.loads((work_dir / 'test_results.json').read_text())
    assert 0 <= result['metrics']['accuracy/top1'] <= 100
    return runner


@pytest.mark.parametrize('path', BASE_SIZE, ids=name_of)
def test_two_steps(path, tmp_path, environment):
    take_two_steps(shrink(Config.fromfile(path), tmp_path), tmp_path)
    (record,) = tmp_path.glob('*/run.json')
    folders = json.loads(record.read_text())['folders']
    assert set(folders) == {'train', 'val', 'test'}
    assert all(Path(folder).is_dir() for folder in folders.values())


def small_yardstick(name, work_dir) -> Config:
    cfg = Config.fromfile(ROOT / f'configs/baselines/{name}_folder.py')
    cfg.launcher = 'none'
    cfg.work_dir = cfg.experiment_name = str(work_dir)
    cfg.train_cfg.max_epochs = 1
    cfg.train_dataloader.update(batch_size=2, num_batch_per_epoch=2)
    finish_config(cfg)
    return cfg


def test_a_cnn_from_scratch_takes_two_steps(tmp_path, environment):
    cfg = small_yardstick('cnn', tmp_path)
    runner = take_two_steps(cfg, tmp_path)
    parameters = [*runner.model.parameters()]
    assert all(p.requires_grad for p in parameters)
    assert 5e5 < sum(p.numel() for p in parameters) < 1e6


@pytest.mark.needs('timm')
def test_a_probe_of_the_teacher_takes_two_steps(
    tmp_path, environment, monkeypatch
):
    import timm

    torch.manual_seed(0)
    model = timm.create_model('tf_efficientnet_lite0')
    torch.save(model.state_dict(), tmp_path / 'lite0.pth')
    monkeypatch.setenv('TEACHER', str(tmp_path / 'lite0.pth'))
    cfg = small_yardstick('teacher', tmp_path)
    cfg.model.backbone.image_dims = 64
    runner = take_two_steps(cfg, tmp_path)
    head = runner.model.head.fc
    assert {*trainable_parameters(runner.model).values()} == {
        *head.parameters()
    }


@pytest.mark.parametrize('path', TINY, ids=name_of)
def test_tiny_ones_take_two_steps(path, tmp_path, environment):
    """With the encoder and the images that they name."""
    cfg = Config.fromfile(path)
    cfg.launcher = 'none'
    cfg.work_dir = cfg.experiment_name = str(tmp_path)
    cfg.train_cfg.max_epochs = 1
    for name in LOADERS:
        cfg[name].update(num_workers=0, persistent_workers=False)
        cfg[name].collate_fn = dict(type='default_collate')
        if 'digits' in path.name:
            cfg[name].dataset.indices = 32
    cfg.train_dataloader.update(batch_size=8, num_batch_per_epoch=2)
    take_two_steps(cfg, tmp_path)


@pytest.mark.parametrize('name', ['cifar10', 'cifar100'])
def test_a_file_scores_as_the_same_image_of_the_data_set(
    name, tmp_path, environment
):
    """MMPretrain's CIFAR is RGB; files, and so all tools, are BGR."""
    path = ROOT / 'configs' / f'vptm_beitv2_{name}.py'
    runner = build_runner(shrink(Config.fromfile(path), tmp_path), LOADERS)
    model = runner.model.eval()
    random_class_means(model.head)
    loader = runner.build_dataloader(runner._test_dataloader)
    batch = next(iter(loader))
    inputs = model.data_preprocessor(batch, training=False)['inputs'][:1]
    preprocessor = model.data_preprocessor
    pixels = (inputs * preprocessor.std + preprocessor.mean)[0]
    red, green, blue = pixels.mean(dim=(1, 2))
    assert red > 250
    assert max(green, blue) < 5
    image = tmp_path / 'red.png'
    Image.new('RGB', (32, 32), (255, 0, 0)).save(image)
    write_task(make_task(model, runner.cfg), tmp_path / 'a.safetensors')
    pool = VPTMTaskPool.from_files([tmp_path / 'a.safetensors'])
    scores = pool.predict([image], 'a')[0]['a']['pred_scores']
    with torch.no_grad():
        expected = model(inputs).softmax(-1)[0]
    torch.testing.assert_close(torch.from_numpy(scores), expected)


@pytest.mark.parametrize(
    'wrap',
    [
        lambda one: dict(type='RepeatDataset', times=2, dataset=one),
        lambda one: dict(type='ConcatDataset', datasets=[one]),
        lambda one: dict(
            type='ClassBalancedDataset', oversample_thr=0.6, dataset=one
        ),
    ],
    ids=['repeat', 'concat', 'balanced'],
)
def test_wrapped_folders(tmp_path, environment, wrap):
    path = ROOT / 'configs' / 'vptm_beitv2-small_folder.py'
    cfg = shrink(Config.fromfile(path), tmp_path)
    for name in LOADERS:
        cfg[name].dataset = wrap(cfg[name].dataset)
    take_two_steps(cfg, tmp_path)


def test_vtab_trains_on_all_thousand(tmp_path, environment):
    """The second command of the protocol: no validation, all images."""
    path = ROOT / 'configs' / 'vtab' / 'vptm_beitv2_vtab-kitti.py'
    cfg = shrink(Config.fromfile(path), tmp_path)
    cfg.train_dataloader.pop('num_batch_per_epoch')
    cfg.train_dataloader.dataset.split = 'train800val200'
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint.pop('save_best')
    runner = build_runner(cfg, LOADERS)
    runner.train()
    assert len(runner.train_dataloader.dataset) == 8
    assert runner.iter == 4
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_a_folder_without_class_folders(tmp_path, environment, monkeypatch):
    write_image(tmp_path / 'loose' / 'a.jpg')
    monkeypatch.setenv('IMAGE_FOLDER', str(tmp_path / 'loose'))
    path = ROOT / 'configs' / 'vptm_beitv2_folder.py'
    with pytest.raises(ValueError, match='1 images lie in .*loose itself'):
        build_runner(shrink(Config.fromfile(path), tmp_path), LOADERS)


def test_head_has_the_classes_of_the_folder(tmp_path, monkeypatch):
    config = ROOT / 'configs' / 'vptm_beitv2_folder.py'

    def num_classes(root) -> int:
        monkeypatch.setenv('IMAGE_FOLDER', str(root))
        return Config.fromfile(config).model.head.num_classes

    for name in ('cat', 'dog', 'train'):
        (tmp_path / 'a [1]' / name).mkdir(parents=True)
    (tmp_path / 'a [1]' / '.cache').mkdir()
    (tmp_path / 'a [1]' / 'README.txt').touch()
    assert num_classes(tmp_path / 'a [1]') == 3
    for name in ('train/cat', 'train/dog', 'val/cat', 'test/cat'):
        (tmp_path / 'b' / name).mkdir(parents=True)
    assert num_classes(tmp_path / 'b') == 2
    for name in ('Training/a', 'Training/b', 'Training/c', 'Testing/a'):
        (tmp_path / 'c' / name).mkdir(parents=True)
    assert num_classes(tmp_path / 'c') == 3
    assert num_classes(tmp_path / 'gone') == 2
    monkeypatch.setenv('VPTM_BEITV2_TINY', DIGITS)
    message = r'prototypes: \(10, 128\) in the file, \(2, 128\) in the model'
    with pytest.raises(ValueError, match=message):
        load_classifier(TINY_FOLDER, DIGITS_TASK)
    with pytest.raises(FileNotFoundError, match='ImageFolder: no .*gone'):
        build_runner(Config.fromfile(config), LOADERS)
