"""A small plan on the digits, and runs that cost nothing."""

import json
from pathlib import Path
from types import SimpleNamespace

from vptm_mm.compare.pairs import Pair, make_pairs
from vptm_mm.compare.plan import (
    Axis,
    DataSet,
    Method,
    Plan,
    load_plan,
    shown,
)
from vptm_mm.compare.search import Search
from vptm_mm.compare.study import Run
from vptm_mm.compare.trial import RESULT

from ..conftest import ROOT

CONFIGS = ROOT / 'configs'
VPTM = CONFIGS / 'vptm_beitv2-tiny_digits.py'
LINEAR = CONFIGS / 'baselines' / 'linear-cls_beitv2-tiny_digits.py'
VPT = CONFIGS / 'baselines' / 'vpt-shallow_beitv2-tiny_digits.py'
SMALL = {
    'train_dataloader.dataset.indices': 32,
    'train_dataloader.batch_size': 16,
    'val_dataloader.dataset.indices': 16,
    'test_dataloader.dataset.indices': 16,
    'train_cfg.max_epochs': 1,
    'param_scheduler': [],
}
TWO_RATES = Search((0.05, 0.2))
SHORT = """
methods:
  VPTM: vptm_beitv2-tiny_digits.py
datasets:
  digits:
"""


def make_plan(**changes) -> Plan:
    fields = dict(
        name='small',
        methods=(
            Method('VPTM', VPTM, TWO_RATES),
            Method('linear', LINEAR, TWO_RATES),
        ),
        datasets=(DataSet('digits'),),
        seeds=2,
        cfg_options=SMALL,
    )
    return Plan(**{**fields, **changes})


def load(tmp_path, text, **changes):
    path = tmp_path / 'plan.yml'
    path.write_text(text)
    return load_plan(path, CONFIGS, **changes)


def shipped(name, **changes):
    return load_plan(CONFIGS / 'compare' / f'{name}.yml', CONFIGS, **changes)


def one_pair(search=TWO_RATES, config=LINEAR, dataset=None, **changes) -> Pair:
    plan = make_plan(methods=(Method('m', config, search),), **changes)
    return Pair(plan, dataset or plan.datasets[0], plan.methods[0])


class Played:
    """Studies whose runs have all ended; large rates are best.

    ``known`` holds values of slots instead; those without one are open, and
    None is a failure.
    """

    def __init__(self, known=None):
        self.known = known

    def runs(self, series) -> dict[str, Run]:
        ended = {}
        while new := [
            (slot, point)
            for slot, point in series.space.slots(ended).items()
            if slot not in ended and self.known is None
        ]:
            for slot, point in new:
                ended[slot] = point.get('learning_rate', 0.0)
        ended = ended if self.known is None else self.known
        return {
            slot: self._run(point, ended[slot])
            if slot in ended
            else Run(point)
            for slot, point in series.space.slots(ended).items()
        }

    @staticmethod
    def _run(point, value):
        result = dict(error='x') if value is None else dict(val=value)
        return Run(point, True, result, value)


def finals_of(pair) -> list:
    """The configs of all final runs, in their order."""
    return [
        series.config(point)
        for series in pair.finals(Played())
        for point in series.space.slots({}).values()
    ]


# Final runs on all images that are not of the test set.
ON_ALL = DataSet('digits', final={'train_dataloader.dataset.split': 'val'})


def make_axis(name, key, values) -> Axis:
    return Axis(name, {shown(value): {key: value} for value in values})


def make_small_pairs(**changes):
    return make_pairs(make_plan(**changes))


class FakeRuns:
    """Start nothing; the accuracy is a function of the config.

    Learning rate 0.2 is best on validation. ``fail`` names configs that fail,
    ``crash`` those that leave no result.
    """

    def __init__(self, fail=lambda cfg: False, crash=lambda cfg: False):
        self.fail = fail
        self.crash = crash
        self.started: list[dict] = []

    def __call__(self, cfg: dict, folder: Path) -> SimpleNamespace:
        self.started.append(cfg)
        rate = cfg['optim_wrapper']['optimizer']['lr']
        seed = cfg['randomness']['seed']
        tested = cfg['test_dataloader'] is not None
        result = dict(
            val=80 + 10 * rate if cfg['val_dataloader'] else None,
            test=70.0 + seed if tested else None,
            tuned=1290,
            tuned_bytes=5160,
            total=10000,
            learning_rate=rate,
            weight_decay=0.01,
            epochs=1,
            epoch_seconds=0.5,
            peak_memory=700_000_000,
            memory_of='process, resident',
            device='CPU, 1 threads',
            seconds=1.0,
        )
        if self.fail(cfg):
            result = dict(error='RuntimeError: made to fail', seconds=1.0)
        crashed = self.crash(cfg)
        if not crashed:
            (folder / RESULT).write_text(json.dumps(result))
        return SimpleNamespace(
            is_alive=lambda: False,
            join=lambda *args: None,
            exitcode=-9 if crashed else 0,
        )
