"""Pictures as a user draws them: what is written, what is refused."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain import get_model
from PIL import Image

from vptm_mm.tasks import make_task, write_task

from ..conftest import ROOT
from .vptm import vptm

DIGITS = ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py'
PROBE = ROOT / 'configs' / 'baselines' / 'linear-cls_beitv2-tiny_digits.py'


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A checkpoint, its task file, a linear probe, an image; untrained."""
    folder = tmp_path_factory.mktemp('models')
    for config, name in ((DIGITS, 'vptm.pth'), (PROBE, 'probe.pth')):
        cfg = Config.fromfile(config)
        torch.manual_seed(0)
        model = get_model(cfg)
        torch.save(dict(state_dict=model.state_dict()), folder / name)
        if config is DIGITS:
            names = [f'digit {i}' for i in range(10)]
            write_task(
                make_task(model, cfg, names), folder / 'task.safetensors'
            )
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(folder / 'photo.png')
    return folder


@pytest.fixture
def draw(tmp_path, monkeypatch, capsys):
    """Run the tool in this process; return pictures and what it printed."""

    def _draw(picture, config, checkpoint, *options):
        args = [picture, config, checkpoint, '--out', 'out', *options]
        monkeypatch.chdir(tmp_path)
        vptm('draw', *args)
        written = sorted((tmp_path / 'out').glob('*.png'))
        for path in written:
            require_picture(path)
        return [path.name for path in written], capsys.readouterr().out

    return _draw


def require_picture(path):
    with Image.open(path) as image:
        grey = np.asarray(image.convert('L')).astype(float)
    assert min(grey.shape) >= 200
    assert grey.std() > 5, f'{path} is blank'
    # Nothing is cut off: the outermost pixels are the white background.
    edges = (grey[0], grey[-1], grey[:, 0], grey[:, -1])
    assert min(edge.min() for edge in edges) > 250, path


def test_attention_of_a_photo(files, draw):
    options = ('--images', files / 'photo.png', '--device', 'cpu')
    names, printed = draw(
        'attention', DIGITS, files / 'task.safetensors', *options
    )
    assert names == ['attention_0_photo.png', 'attention_shares.png']
    assert all(f'wrote out/{name}' in printed for name in names)


def test_attention_of_a_split(files, draw):
    options = ('--split', 'val', '--num-images', 1, '--cfg-options')
    options += ('model.backbone.mask_grid=2', 'model.head.in_channels=512')
    with pytest.raises(ValueError, match='the checkpoint does not fit the'):
        draw('attention', DIGITS, files / 'vptm.pth', *options)
    names, _ = draw('attention', DIGITS, files / 'vptm.pth', *options[:4])
    assert names[0].startswith('attention_shares')
    assert names[1].startswith('attention_val_')


def test_tokens(files, draw):
    names, _ = draw('tokens', DIGITS, files / 'vptm.pth', '--num-images', 30)
    assert names == ['tokens.png']


@pytest.mark.parametrize('checkpoint', ['vptm.pth', 'probe.pth'])
def test_embedding_and_confusion_of_any_classifier(files, draw, checkpoint):
    config = DIGITS if checkpoint == 'vptm.pth' else PROBE
    options = (config, files / checkpoint, '--num-images', 40)
    names, _ = draw('embedding', *options)
    assert names == ['embedding_tsne.png']
    names, printed = draw('confusion', *options)
    assert 'confusion.png' in names
    assert ' taken for ' in printed


def test_prototypes(files, draw):
    names, printed = draw('prototypes', DIGITS, files / 'task.safetensors')
    assert names == ['prototypes.png']
    # Ten pairs, with the names that the task brings.
    assert printed.count(': cosine ') == 10
    assert 'digit 3' in printed


@pytest.mark.parametrize(
    ('picture', 'message'),
    [
        ('attention', 'FrozenFeatures adds no .MASK. to the image'),
        ('tokens', 'FrozenFeatures adds no .MASK. to the image'),
        ('prototypes', 'LinearClsHead has no prototypes'),
    ],
)
def test_what_a_linear_probe_lacks(files, draw, picture, message):
    with pytest.raises(ValueError, match=message):
        draw(picture, PROBE, files / 'probe.pth')


def test_missing_files(files, draw, tmp_path):
    checkpoint = files / 'vptm.pth'
    with pytest.raises(FileNotFoundError, match=f'no config at {tmp_path}'):
        draw('prototypes', 'gone.py', checkpoint)
    with pytest.raises(FileNotFoundError, match='no checkpoint at .*gone.pth'):
        draw('prototypes', DIGITS, tmp_path / 'gone.pth')
    with pytest.raises(FileNotFoundError, match='No such .*gone.png'):
        draw('attention', DIGITS, checkpoint, '--images', 'gone.png')
    damaged = tmp_path / 'damaged.png'
    damaged.write_bytes(b'no image')
    with pytest.raises(ValueError, match='damaged.png: .* is not an image'):
        draw('attention', DIGITS, checkpoint, '--images', damaged)
    assert not (tmp_path / 'out').exists()


def test_wrong_options(files, draw, capsys):
    checkpoint = files / 'vptm.pth'
    option = 'model.backbone.prompt_lenght=3'
    with pytest.raises(ValueError, match="did you mean 'model.backbone.pro"):
        draw('tokens', DIGITS, checkpoint, '--cfg-options', option)
    for options, message in (
        (('tokens', '--num-images', -1), '--num-images: -1 must be an int'),
        (('attention', '--heads', 3), 'unrecognized arguments: --heads'),
        (('attention', '--split', 'all'), "invalid choice: 'all'"),
        (('prototypes', '--images', 'a'), 'unrecognized arguments: --images'),
        (('saliency',), "invalid choice: 'saliency'"),
    ):
        with pytest.raises(SystemExit, match='^2$'):
            draw(options[0], DIGITS, checkpoint, *options[1:])
        assert message in capsys.readouterr().err
