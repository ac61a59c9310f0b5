"""The text of a config is formatted once, and is the host's."""

import copy
import pickle

import pytest
from mmengine.config import Config

from vptm_mm.engine.cached_text_config import CachedTextConfig
from vptm_mm.engine.launch import build_runner
from vptm_mm.weights import load_file

from ..conftest import ROOT

PATH = ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py'


@pytest.fixture
def formatted(monkeypatch):
    """Lengths of the texts that yapf is given."""
    import mmengine.config.config as module

    lengths = []
    code = module.FormatCode

    def count(text, **options):
        lengths.append(len(text))
        return code(text, **options)

    monkeypatch.setattr(module, 'FormatCode', count)
    return lengths


def test_is_the_hosts_text_until_the_config_changes(formatted):
    host = Config.fromfile(PATH)
    ours = CachedTextConfig.of(host)
    assert ours.pretty_text == host.pretty_text
    assert ours.pretty_text == ours.pretty_text
    assert len(formatted) == 2
    for cfg in (host, ours):
        cfg.train_dataloader.dataset.pipeline[0].scale = 16
    assert ours.pretty_text == host.pretty_text
    assert 'scale=16' in ours.pretty_text
    assert len(formatted) == 4


@pytest.mark.parametrize('repeat', [copy.deepcopy, copy.copy])
def test_copies(repeat):
    ours = CachedTextConfig.of(Config.fromfile(PATH))
    text = ours.pretty_text
    other = repeat(ours)
    assert other.pretty_text == text
    assert other.filename == str(PATH)
    assert pickle.loads(pickle.dumps(ours)).pretty_text == text


def test_a_run_formats_once_for_all_checkpoints(tmp_path, formatted):
    cfg = Config.fromfile(PATH)
    cfg.merge_from_dict(
        {
            'train_dataloader.dataset.indices': 32,
            'val_dataloader.dataset.indices': 8,
            'test_dataloader.dataset.indices': 8,
            'train_cfg.max_epochs': 2,
            'work_dir': str(tmp_path),
        }
    )
    runner = build_runner(cfg, ())
    text = Config(runner.cfg.to_dict()).pretty_text
    formatted.clear()
    runner.train()
    assert formatted == []
    for path in tmp_path.glob('*.pth'):
        meta = load_file(path)['meta']
        assert meta['cfg'] == text, path
