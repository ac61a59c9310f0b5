"""The command ``vptm``: its map, its verbs, how it ends."""

import argparse
import shutil
import subprocess
import sys
from unittest.mock import Mock

import pytest
import torch
from PIL import Image

import vptm_mm
import vptm_mm_cli
from vptm_mm import adaptation
from vptm_mm.adaptation import (
    Accuracy,
    Adapted,
    adapt,
    make_config,
    tune,
)
from vptm_mm.datasets import SklearnDigits
from vptm_mm.run_verb import find_device, parse_options, run_verb
from vptm_mm.tasks import read_task, write_task
from vptm_mm.verbs.adapt import show
from vptm_mm.weights import load_file
from vptm_mm.weights.checkpoint_file import fetch
from vptm_mm.weights.encoder_config import encoder_config
from vptm_mm_cli import VERBS, main, parse

from .test_run_verb import restore_handlers
from .verbs.vptm import vptm


@pytest.fixture(autouse=True)
def _streams(monkeypatch):
    """Let the log go elsewhere in these tests only."""
    restore_handlers(monkeypatch)


@pytest.mark.parametrize(
    'words', [[], ['--help'], *([v, '-h'] for v in VERBS)]
)
def test_help(words, capsys):
    with pytest.raises(SystemExit, match='0'):
        main(words)
    out = capsys.readouterr().out
    assert out.startswith('usage: vptm')
    if len(words) < 2:
        assert all(f'\n  {verb} ' in out for verb in VERBS)


@pytest.mark.parametrize(
    ('verb', 'flags'),
    [
        (
            'train',
            '--work-dir --resume --amp --no-validate --auto-scale-lr '
            '--no-pin-memory --no-persistent-workers --cfg-options --launcher '
            '--local_rank --local-rank',
        ),
        (
            'test',
            '--work-dir --out --out-item --tta --show-dir --show --interval '
            '--wait-time --amp --no-pin-memory --cfg-options --launcher '
            '--local_rank --local-rank',
        ),
    ],
)
def test_flags_of_the_hosts_tools(verb, flags, capsys):
    with pytest.raises(SystemExit, match='0'):
        parse([verb, '--help'])
    words = set(capsys.readouterr().out.replace(',', ' ').split())
    assert set(flags.split()) <= {word.strip('[]') for word in words}


def test_help_imports_nothing_heavy():
    """``vptm --help`` answers at once."""
    code = (
        'import sys, vptm_mm_cli\n'
        'try: vptm_mm_cli.main(["train", "--help"])\n'
        'except SystemExit: pass\n'
        'print(*sys.modules, file=sys.stderr)'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert 'usage: vptm train' in result.stdout
    assert not {'torch', 'numpy', 'vptm_mm'} & set(result.stderr.split())


def test_a_mistake_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, message in (
        (['train', 'vptm_beitv2_cup'], 'near: vptm_beitv2_cub'),
        (['predict', 'a.png', '--task', 'gone'], 'no task file at'),
        (['train', 'vptm_beitv2_cub', '--cfg-options', 'x'], 'KEY=VALUE'),
        (['demo', '--device', 'abacus'], '--device abacus cannot be used'),
    ):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    with pytest.raises(SystemExit, match='2'):
        main(['trian'])
    monkeypatch.setenv('VPTM_DEBUG', '')  # as it was, at the end
    name, args = parse(['train', 'gone.py', '--debug'])
    assert run_verb(name, args) == 2
    assert 'Traceback' in capsys.readouterr().err


def test_devices_and_options():
    assert find_device('cpu') == 'cpu'
    assert find_device('auto')
    assert parse_options(['a.b=1', 'c=[x,2]']) == {'a.b': 1, 'c': ['x', 2]}
    assert parse_options([]) == {}


def test_configs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    vptm('configs', '--copy', 'vptm_beitv2-tiny_digits', 'mine.py')
    assert "_base_ = '" in (tmp_path / 'mine.py').read_text()
    with pytest.raises(FileExistsError, match='mine.py is there already'):
        vptm('configs', '--copy', 'vptm_beitv2_cub', 'mine.py')
    capsys.readouterr()
    assert vptm('configs', 'nothing like it') == 1
    assert "no config is named '*nothing like it*'" in capsys.readouterr().err
    vptm('configs')
    assert len(capsys.readouterr().out.splitlines()) > 50


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """120 digits in a folder for each of three classes."""
    folder = tmp_path_factory.mktemp('images')
    digits = SklearnDigits(split='train')
    for i in range(400):
        info = digits.get_data_info(i)
        if info['gt_label'] < 3:
            path = folder / 'made' / f'digit {info["gt_label"]}' / f'{i}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(info['img']).save(path)
    return folder


def test_adapt_a_folder(images, monkeypatch, capsys):
    """On the packaged colour backbone: nobody says size, mean or weights."""
    monkeypatch.chdir(images)
    assert vptm('adapt', 'made', '--masks', 1) == 0
    out = capsys.readouterr().out
    assert 'Yardstick: logistic regression' in out
    assert 'Yardstick: SVM, no backbone' in out
    task = read_task(images / 'made.task.safetensors')
    assert task.classes == ('digit 0', 'digit 1', 'digit 2')
    assert task.weights == 'vptm_mm://beitv2-mini_tinyimagenet.pth'
    encoder, known = encoder_config(task.weights)
    assert (
        task.backbone['encoder'].items()
        >= dict(arch=encoder['arch'], img_size=64, patch_size=8).items()
    )
    prepared = task.data_preprocessor
    assert (tuple(prepared['mean']), tuple(prepared['std'])) == known[:2]
    assert prepared['to_rgb'] == known.to_rgb
    (resize,) = [one for one in task.pipeline if one['type'] == 'Resize']
    assert tuple(resize['scale']) == (encoder['img_size'],) * 2
    words = 'predict', 'made', '--task', 'made.task.safetensors'
    vptm(*words)
    # One number of the backbone is another.
    content = load_file(fetch(task.weights))
    content['state_dict']['backbone.cls_token'][0, 0, 0] += 1
    torch.save(content, 'other.pth')
    with pytest.raises(ValueError, match='tuned on frozen tensors of sha256'):
        vptm(*words, '--weights', 'other.pth')


def test_adapt_a_table_to_other_weights(images, monkeypatch):
    """A CSV file; the backbone of the digits; a little training."""
    monkeypatch.chdir(images)
    paths = sorted((images / 'made').rglob('*.png'))
    rows = [f'{p.relative_to(images)},{p.parent.name}\n' for p in paths]
    (images / 'table.csv').write_text('path,label\n' + ''.join(rows))
    weights = 'vptm_mm://beitv2-tiny_digits.pth'
    features = Mock(wraps=adaptation.colours_and_edges)
    monkeypatch.setattr(adaptation, 'colours_and_edges', features)
    adapted = adapt('table.csv', weights, epochs=1, out='new/t.safetensors')
    # Of the images that the SVM reads, once.
    assert sum(len(call.args[0]) for call in features.call_args_list) == sum(
        sum(adapted.images[split]) for split in ('train', 'test')
    )
    assert adapted.repeated == 0
    assert adapted.path.is_file()
    assert adapted.classes == ('digit 0', 'digit 1', 'digit 2')
    assert sum(map(sum, adapted.images.values())) == len(paths)
    assert adapted.accuracy.share > 0.8
    assert adapted.probe.share > 0.8
    assert adapted.svm.share > 0.8
    assert adapted.svm.total == adapted.accuracy.total


def test_a_training_that_loses_is_not_taken(images, monkeypatch, capsys):
    monkeypatch.chdir(images)
    make = adaptation.make_config

    def with_far_too_high_a_rate(*args):
        cfg = make(*args)
        cfg.optim_wrapper.optimizer.lr = 1.0
        cfg.param_scheduler = None
        return cfg

    monkeypatch.setattr(adaptation, 'make_config', with_far_too_high_a_rate)
    adapted = adapt('made', epochs=1, out='kept.safetensors')
    assert not adapted.helped
    assert adapted.accuracy == adapted.start
    assert read_task('kept.safetensors').backbone['prompt_length'] == 0
    show(adapted, argparse.Namespace(epochs=1))
    assert 'the task is without it' in capsys.readouterr().out


def test_images_in_several_splits_are_counted():
    images = torch.arange(3 * 64**2 * 4, dtype=torch.int32).view(4, 3, 64, 64)
    looks = [adaptation.Look(for_svm=False) for _ in range(3)]
    for look, some in zip(looks, ([0, 0, 1], [0, 2], [0, 2, 3]), strict=True):
        assert len(list(look.over([dict(inputs=images[some])]))) == 1
        assert not look.pixels
    assert adaptation.count_repeated(looks) == 2


def test_a_start_without_training_sees_whole_images(
    images, tmp_path, monkeypatch
):
    monkeypatch.setattr(adaptation, 'build_runner', Mock())
    cfg = make_config(images / 'made', None, 1, 0, tmp_path)
    start, trained = tune(cfg, 0), tune(cfg, 1)
    whole = cfg.test_dataloader.dataset.pipeline
    assert start.train_dataloader.dataset.pipeline == whole
    assert start.default_hooks.class_means.least_views == 1
    assert trained.train_dataloader.dataset.pipeline != whole
    assert trained.default_hooks == {
        **cfg.default_hooks,
        'checkpoint': {**cfg.default_hooks.checkpoint, 'test_best': False},
    }


@pytest.mark.parametrize(
    ('right', 'of_svm', 'is_better'),
    [(60, 60, False), (60, 73, False), (60, 75, True), (97, 100, False)],
)
@pytest.mark.parametrize('repeated', [0, 3])
def test_adapt_says_what_to_know(
    tmp_path, capsys, right, of_svm, is_better, repeated
):
    """An SVM that is better beyond chance; images in several splits."""
    (tmp_path / 'a.safetensors').touch()
    given = Accuracy(right, 100)
    adapted = Adapted(
        path=tmp_path / 'a.safetensors',
        classes=('x', 'y'),
        images=dict(train=[9, 9], val=[1, 1], test=[5, 5]),
        start=given,
        accuracy=given,
        probe=given,
        svm=Accuracy(of_svm, 100),
        confusions=[('x', 'y', 4)],
        seconds=1.0,
        repeated=repeated,
    )
    show(adapted, argparse.Namespace(epochs=0))
    streams = capsys.readouterr()
    assert f'SVM, no backbone:     {of_svm}.0% of 100 images' in streams.out
    assert ('larger backbone by --weights' in streams.err) == is_better
    assert ('more than one split: 3;' in streams.err) == bool(repeated)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a.png,x\nb.png;x\n', 'must be a path, a comma and a label'),
        ('path,label\na.png,x\ngone.png,y\n', 'no .*gone.png'),
        ('a.png,x\nb.png,x\n', 'it takes two'),
    ],
)
def test_wrong_tables(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    for name in 'ab':
        Image.new('RGB', (8, 8)).save(tmp_path / f'{name}.png')
    (tmp_path / 'table.csv').write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        adapt('table.csv')


def test_a_checkpoint_in_its_work_dir_is_a_task(tmp_path, monkeypatch, capsys):
    """And a task file alone is exported."""
    monkeypatch.chdir(tmp_path)
    task = read_task('vptm_mm://vptm_beitv2-tiny_digits.safetensors')
    state = vptm_mm.load_classifier(task, device='cpu').state_dict()
    torch.save(dict(state_dict=state), tmp_path / 'best.pth')
    image = SklearnDigits(split='test').get_data_info(0)['img']
    Image.fromarray(image).save(tmp_path / 'digit.png')
    with pytest.raises(FileNotFoundError, match='no config beside'):
        vptm('predict', 'digit.png', '--task', 'best.pth')
    vptm('configs', '--copy', 'vptm_beitv2-tiny_digits', 'digits.py')
    capsys.readouterr()
    vptm('predict', 'digit.png', '--task', 'best.pth', '--format', 'csv')
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith('digit.png,best,1,')
    write_task(task, tmp_path / 'digits.safetensors')
    vptm(
        *('predict', 'digit.png', '--task', 'best=digits.safetensors'),
        *('--format', 'csv'),
    )
    assert capsys.readouterr().out.splitlines()[-1] == row
    vptm('export', 'digits.safetensors', '--out', 'digits.pt2')
    assert 'random images' in capsys.readouterr().out
    shutil.copy('digits.py', 'other.py')
    with pytest.raises(ValueError, match='several configs, digits.py, other'):
        vptm('export', 'best.pth', '--out', 'best.pt2')


def test_accuracy():
    """Wilson's interval, from his formula."""
    low, high = Accuracy(90, 100).interval
    assert low == pytest.approx(0.8256, abs=1e-4)
    assert high == pytest.approx(0.9448, abs=1e-4)
    assert str(Accuracy(90, 100)).startswith('90.0% of 100 images (95 %: 82.6')


def test_the_encoder_of_a_file():
    """As the config of the digits says it."""
    found, known = encoder_config('vptm_mm://beitv2-tiny_digits.pth')
    assert found['arch'] == dict(
        embed_dims=128, num_layers=6, num_heads=4, feedforward_channels=512
    )
    assert (found['img_size'], found['patch_size']) == (32, 8)
    assert known is None or len(known.mean) == found['in_channels']
    assert vptm_mm_cli.VERBS
