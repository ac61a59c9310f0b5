"""The table's methods build, and its rules hold."""

import argparse
import importlib.util

import pytest
import torch
from mmpretrain.registry import MODELS

from ..conftest import ROOT

SPEC = importlib.util.spec_from_file_location(
    'results', ROOT / 'tools' / 'results.py'
)
results = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(results)


def arguments(work_dir) -> argparse.Namespace:
    return argparse.Namespace(
        data='digits', epochs=4, seeds=2, rates=(0.01, 0.1), work_dir=work_dir
    )


@pytest.mark.parametrize('method', results.METHODS)
def test_every_method_builds_and_runs(method, tmp_path):
    cfg = results.make_config(arguments(tmp_path), method, 0.01, seed=3)
    cfg.model.data_preprocessor = cfg.data_preprocessor
    model = MODELS.build(cfg.model)
    feats = model.extract_feat(torch.zeros(1, 3, 32, 32))
    assert feats[0].shape == (1, model.head.in_channels)
    assert cfg.randomness.seed == 3
    trained = results.METHODS[method][2]
    assert cfg.optim_wrapper.optimizer.lr == (0.01 if trained else 0)


@pytest.mark.parametrize(
    ('best', 'expected'), [(0.03, 0.025), (1.6, 1.6), (0.002, 0.0025)]
)
def test_the_grid_grows_while_its_end_is_best(
    tmp_path, monkeypatch, best, expected
):
    def run(args, method, rate, seed):
        return dict(val=-abs(rate - best))

    monkeypatch.setattr(results, 'run', run)
    args = arguments(tmp_path)
    args.rates = (0.01, 0.025, 0.1)
    assert results.choose_rate(args, 'any') == pytest.approx(expected)


def test_results_of_other_settings_are_not_reused(tmp_path):
    method = 'linear probe, [CLS]'
    folder = tmp_path / 'linear-probe---CLS-_0.01_0'
    folder.mkdir()
    (folder / 'result.json').write_text('{"config_sha256": "0"}')
    with pytest.raises(ValueError, match='measured with other settings'):
        results.run(arguments(tmp_path), method, 0.01, 0)
