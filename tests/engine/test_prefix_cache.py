"""Training from kept states, on real runs over the digits."""

import shutil
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from vptm_mm.engine import PrefixCacheHook
from vptm_mm.models import VPTMBackbone

from .made_digits import digits_runner, read_log

LATE = {
    'model.backbone.prompt_blocks': (4,),
    'train_cfg.max_epochs': 2,
    # Else the start depends on crops that no epoch sees.
    'model.head.prototype_init': 'xavier',
}


def cached_runner(work_dir, options=None, config=None, **hook):
    """Two epochs of two steps, prompts at block 4 of 6."""
    name = config or 'vptm_beitv2-tiny_digits.py'
    late = {k: v for k, v in LATE.items() if not config or 'model' not in k}
    options = {**late, **(options or {})}
    runner = digits_runner(work_dir, name, **options)
    runner.register_hook(PrefixCacheHook(**hook))
    return runner


def tuned(runner):
    return {
        name: parameter.detach().clone()
        for name, parameter in runner.model.named_parameters()
        if parameter.requires_grad
    }


@HOOKS.register_module()
class CountImagesHook(Hook):
    """How many images a training or validation epoch embeds."""

    def before_train(self, runner):
        self.embedded = 0
        backbone = runner.model.backbone
        backbone.encoder.patch_embed.register_forward_hook(self.count)

    def count(self, module, args, out):
        self.embedded += len(args[0])


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    """The same run without a cache: epoch e samples what view e samples."""
    runner = digits_runner(tmp_path_factory.mktemp('plain') / 'run', **LATE)
    runner.train()
    return runner


@pytest.mark.parametrize('in_file', [True, False])
def test_equal_to_training_without_it(tmp_path, plain, in_file):
    folder = str(tmp_path / 'cache') if in_file else None
    runner = cached_runner(tmp_path / 'cached', views=2, folder=folder)
    count = CountImagesHook()
    runner.register_hook(count, 'LOWEST')
    runner.train()
    # Only the 32 test images after training: they are not kept.
    assert count.embedded == 32
    for name, wanted in tuned(plain).items():
        ours = tuned(runner)[name]
        assert (ours - wanted).norm() <= 1e-4 * wanted.norm(), name
    plain_hub, hub = plain.message_hub, runner.message_hub
    for name in ('train/loss', 'val/accuracy/top1'):
        wanted = plain_hub.get_scalar(name).data[0]
        assert hub.get_scalar(name).data[0] == pytest.approx(wanted, abs=1e-5)
    place = folder or 'memory'
    size = 2 * 64 * 18 * 128 * 4 / 1e6
    assert (
        f'Prefix cache, train: 64 images x 2 view(s), 18 states of 128 in '
        f'torch.float32 each: {size:,.1f} MB in {place}, up to block 4.'
    ) in read_log(tmp_path / 'cached')


def run_and_read(tmp_path, name, **hook):
    runner = cached_runner(tmp_path / name, folder=str(tmp_path / 'c'), **hook)
    runner.train()
    return tuned(runner), read_log(tmp_path / name)


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """What a first run has tuned, and the folder of its files."""
    folder = tmp_path_factory.mktemp('written')
    return run_and_read(folder, 'one')[0], folder / 'c'


def cache_file(tmp_path, part='train0') -> Path:
    (path,) = (tmp_path / 'c').glob(f'{part}_*.safetensors')
    return path


def test_a_second_run_reads_the_file(tmp_path, written):
    first, folder = written
    shutil.copytree(folder, tmp_path / 'c')
    path = cache_file(tmp_path)
    written = path.stat().st_mtime_ns
    second, log = run_and_read(tmp_path, 'two')
    assert f'Prefix cache, train: read {path}.' in log
    assert path.stat().st_mtime_ns == written
    for name, tensor in first.items():
        assert torch.equal(second[name], tensor)


def test_resumed_run_is_bit_identical(tmp_path):
    options = {
        'train_dataloader.num_workers': 2,
        'train_dataloader.persistent_workers': True,
    }
    whole = cached_runner(tmp_path / 'whole', options, views=2)
    whole.train()
    shutil.copytree(tmp_path / 'whole', tmp_path / 'half')
    resumed = cached_runner(
        tmp_path / 'half',
        {'load_from': str(tmp_path / 'half/epoch_1.pth'), 'resume': True},
        views=2,
    )
    resumed.train()
    for name, tensor in tuned(whole).items():
        assert torch.equal(tuned(resumed)[name], tensor), name


def test_wrappers_bfloat16_and_class_means(tmp_path):
    """A data set of two, one of them k-shot; kept in bfloat16."""
    runner = digits_runner(tmp_path / 'settings')
    part = runner.cfg.train_dataloader.dataset
    options = {
        'train_dataloader.dataset': dict(
            _delete_=True,
            type='ConcatDataset',
            datasets=[part, dict(type='KShot', shots=1, dataset=part)],
        ),
        'model.head.prototype_init': 'class_mean',
    }
    runner = cached_runner(
        tmp_path / 'run', options, dtype='bfloat16', folder=str(tmp_path / 'c')
    )
    runner.train()
    log = read_log(tmp_path / 'run')
    assert 'train: 64 images x 1' in log
    assert 'train: 10 images x 1' in log
    assert 'means of 74 images' in log
    size = cache_file(tmp_path, 'train1').stat().st_size
    assert 0 < size - 10 * 18 * 128 * 2 < 1000


def test_linear_probe_and_test_images(tmp_path):
    """All blocks are kept, of [CLS] only; a test keeps its images, too."""
    config = 'baselines/linear-cls_beitv2-tiny_digits.py'
    plain = digits_runner(tmp_path / 'plain', config, **{'resume': False})
    plain.train()
    runner = cached_runner(
        tmp_path / 'run',
        {'train_cfg.max_epochs': 1},
        config,
        parts=('train', 'val', 'test'),
    )
    runner.train()
    runner.test()  # as one of a comparison
    log = read_log(tmp_path / 'run')
    assert 'test: 32 images x 1 view(s), 1 states of 128' in log
    assert 'checkpoint_check' in runner.cfg.default_hooks
    assert 'was pre-trained with' not in log
    results = [
        (tmp_path / name / 'test_results.json').read_text()
        for name in ('plain', 'run')
    ]
    assert results[0] == results[1]
    for name, wanted in tuned(plain).items():
        ours = tuned(runner)[name]
        assert (ours - wanted).norm() <= 1e-4 * wanted.norm(), name


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(views=2.5), r'views=2\.5 must be an int >= 1'),
        (dict(views=0), 'views=0 must be an int >= 1'),
        (dict(seed=-1), 'seed=-1 must be an int >= 0'),
        (dict(dtype='float16'), "dtype='float16' must be one of"),
        (dict(parts=()), r'parts=\(\) must be some of'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        PrefixCacheHook(**options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'model.backbone.prompt_blocks': (0, 4)},
            'VPTMBackbone has no block before what it tunes',
        ),
        (
            {
                'model.train_cfg': dict(
                    augments=dict(type='Mixup', alpha=1.0)
                ),
                'data_preprocessor.num_classes': 10,
            },
            'augments mixes images',
        ),
        (
            {
                'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=2),
                'param_scheduler': None,
            },
            'IterBasedTrainLoop counts none',
        ),
    ],
)
def test_nothing_can_be_kept(tmp_path, options, message):
    runner = cached_runner(tmp_path, options, views=2)
    assert isinstance(runner.model.backbone, VPTMBackbone)
    with pytest.raises(ValueError, match=message):
        runner.train()


def test_pipelines_must_pack(tmp_path):
    runner = cached_runner(tmp_path)
    runner.train_dataloader.dataset.pipeline.transforms.pop()
    with pytest.raises(ValueError, match='no pipeline that ends with PackIn'):
        runner.train()
