"""What is seen of a run while it goes on, and what is written down of it."""

import json
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from vptm_mm.engine import TuningScalarsHook, vis_backends
from vptm_mm.engine.hooks import run_record
from vptm_mm.engine.vis_backends import add_vis_backends
from vptm_mm.version import __version__

from .made_digits import digits_runner

NO_HOOKS = {
    'default_hooks.class_means': None,
    'default_hooks.task_file': None,
    'default_hooks.checkpoint.test_best': False,
    'model.head.prototype_init': 'xavier',
}
LOCAL = dict(type='LocalVisBackend')
TENSORBOARD = dict(type='TensorboardVisBackend')
WANDB = dict(type='WandbVisBackend')
HERE = types.SimpleNamespace(origin='a package')


def read_scalars(work_dir: Path) -> list[dict]:
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_scalars_of_the_method_and_a_record(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['tools/train.py', 'a config.py'])
    options = {'model.head.temperature': 0.2, **NO_HOOKS}
    runner = digits_runner(tmp_path, **options)
    (hook,) = (h for h in runner.hooks if isinstance(h, TuningScalarsHook))
    assert hook.interval == 10
    runner.train()
    points = [p for p in read_scalars(tmp_path) if 'tuning/grad_norm' in p]
    # Two iterations: the last one of the epoch.
    assert [p['step'] for p in points] == [2]
    (point,) = points
    assert point['iter'] == 2
    assert point['tuning/temperature'] == pytest.approx(0.2)
    assert point['tuning/grad_norm'] > 0
    verbalizer = runner.model.head.verbalizer
    prompts = runner.model.backbone.tuning.prompt_tokens.prompts
    for name, vectors in (
        ('prompt', prompts),
        ('prototype', verbalizer.prototypes),
    ):
        expected = vectors.norm(dim=-1).mean().item()
        assert point[f'tuning/{name}_norm'] == pytest.approx(expected)
    # Nobody listens any more, and checkpoints do not grow.
    assert not verbalizer._forward_hooks
    assert not any('tuning' in key for key in runner.message_hub.log_scalars)
    record = json.loads((Path(runner.log_dir) / 'run.json').read_text())
    assert record['command'] == "python tools/train.py 'a config.py'"
    assert record['folder'] == str(Path.cwd())
    assert record['seed'] == 0
    assert record['processes'] == 1
    assert record['versions']['torch'] == torch.__version__
    assert record['versions']['vptm_mm'] == __version__
    name = 'backbone.tuning.prompt_tokens.prompts'
    assert record['tuned'][name] == [1, 2, 128]
    total = sum(p.numel() for p in runner.model.parameters())
    assert record['parameters'] == total
    assert record['images'] == dict(train=64, val=32)
    assert record['classes'] == list('0123456789')


def test_scalars_are_right(tmp_path):
    """Cosines and the gradient's norm, computed by hand."""
    runner = digits_runner(
        tmp_path,
        **{
            'train_dataloader.dataset.pipeline': [
                dict(type='Resize', scale=(32, 32)),
                dict(type='PackInputs'),
            ],
            'optim_wrapper.optimizer': dict(_delete_=True, type='SGD', lr=0.0),
            'optim_wrapper.clip_grad': dict(max_norm=1e-3),
            'train_dataloader.batch_size': 64,
            'param_scheduler': [],
            **NO_HOOKS,
        },
    )
    runner.train()
    (point,) = (p for p in read_scalars(tmp_path) if 'tuning/temperature' in p)
    assert point['tuning/grad_norm'] == pytest.approx(1e-3, rel=1e-3)
    model, dataset = runner.model, runner.train_dataloader.dataset
    items = [dataset[i] for i in range(len(dataset))]
    inputs = torch.stack([item['inputs'] for item in items])
    labels = torch.cat([item['data_samples'].gt_label for item in items])
    model.train()
    data = model.data_preprocessor(dict(inputs=inputs, data_samples=None))
    with torch.no_grad():
        cosines = 0.1 * model(data['inputs'], mode='tensor')
    if isinstance(cosines, tuple):
        cosines = 0.1 * model.head(cosines)
    own = cosines[torch.arange(64), labels]
    cosines[torch.arange(64), labels] = -9
    assert point['tuning/cosine_own'] == pytest.approx(
        own.mean().item(), abs=1e-4
    )
    assert point['tuning/cosine_other'] == pytest.approx(
        cosines.amax(1).mean().item(), abs=1e-4
    )


def measured(work_dir: Path) -> set[str]:
    points = read_scalars(work_dir)
    return {n for p in points for n in p if n.startswith('tuning/')}


def test_mixed_images_have_no_class_of_their_own(tmp_path):
    mixup = dict(augments=dict(type='Mixup', alpha=0.8))
    options = {'model.train_cfg': mixup, 'data_preprocessor.num_classes': 10}
    digits_runner(tmp_path, **NO_HOOKS, **options).train()
    assert measured(tmp_path) == {
        'tuning/grad_norm',
        'tuning/prompt_norm',
        'tuning/prototype_norm',
        'tuning/temperature',
    }


def test_a_linear_probe_has_only_a_gradient(tmp_path):
    config = 'baselines/linear-cls_beitv2-tiny_digits.py'
    digits_runner(tmp_path, config).train()
    assert measured(tmp_path) == {'tuning/grad_norm'}


def test_a_bad_interval():
    with pytest.raises(ValueError, match='interval=0 must be an int'):
        TuningScalarsHook(interval=0)


def test_backends_are_added_once(monkeypatch):
    monkeypatch.setattr(vis_backends, 'find_spec', lambda name: HERE)
    cfg = Config(dict(visualizer=dict(vis_backends=[LOCAL, TENSORBOARD])))
    add_vis_backends(cfg, ['tensorboard', 'wandb', 'wandb'])
    assert cfg.visualizer.vis_backends == [LOCAL, TENSORBOARD, WANDB]
    cfg = Config(dict(visualizer=None))
    add_vis_backends(cfg, ['tensorboard'])
    assert cfg.visualizer == dict(
        type='UniversalVisualizer', vis_backends=[TENSORBOARD]
    )


def test_a_missing_package_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'path', [str(tmp_path)])
    monkeypatch.delitem(sys.modules, 'wandb', raising=False)
    message = r"--watch wandb: the package .* 'vptm_mm\[wandb\]'"
    with pytest.raises(RuntimeError, match=message):
        add_vis_backends(Config(), ['wandb'])
    (tmp_path / 'wandb').mkdir()  # not the package, only a folder of its name
    with pytest.raises(RuntimeError, match=message):
        add_vis_backends(Config(), ['wandb'])


def test_curves_in_tensorboard(tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing import event_accumulator

    digits_runner(
        tmp_path, **{'visualizer.vis_backends': [LOCAL, TENSORBOARD]}
    ).train()
    (folder,) = tmp_path.glob('*/vis_data')
    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    names = set(events.Tags()['scalars'])
    assert names >= {
        'loss',
        'lr',
        'accuracy/top1',
        'tuning/grad_norm',
        'tuning/prompt_norm',
        'tuning/prototype_norm',
        'tuning/temperature',
        'tuning/cosine_own',
        'tuning/cosine_other',
    }
    local = [p for p in read_scalars(tmp_path) if 'tuning/grad_norm' in p]
    (event,) = events.Scalars('tuning/grad_norm')
    assert event.step == 2
    assert event.value == pytest.approx(local[0]['tuning/grad_norm'])


def test_the_commit_is_the_packages_own(tmp_path, monkeypatch):
    """An installed copy in somebody else's working copy has no commit."""
    module = tmp_path / 'site' / 'run_record.py'
    module.parent.mkdir()
    module.write_text('')
    monkeypatch.setattr(run_record, '__file__', str(module))
    git = ['git', '-C', str(tmp_path), '-c', 'user.name=a']
    git += ['-c', 'user.email=a@example.org']
    assert run_record._commit() is None
    subprocess.run([*git, 'init', '-q'], check=True)
    (tmp_path / 'file').write_text('')
    subprocess.run([*git, 'add', 'file'], check=True)
    subprocess.run([*git, 'commit', '-qm', 'a'], check=True)
    assert run_record._commit() is None
    subprocess.run([*git, 'add', '.'], check=True)
    subprocess.run([*git, 'commit', '-qm', 'b'], check=True)
    assert re.fullmatch(r'[0-9a-f]{12}', run_record._commit())
    module.write_text('changed')
    assert run_record._commit().endswith('-dirty')
