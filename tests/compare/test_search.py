"""Which points a search tries, given what validation said so far."""

import importlib
import math

import pytest

from vptm_mm.compare import optuna_import
from vptm_mm.compare.search import (
    PRESETS,
    GridSearch,
    Point,
    TPESearch,
    Tried,
    best_point,
    make_search,
)


def play(search, accuracy) -> dict[Point, float | None]:
    """Try every slot, one after the other, until none is left."""
    tried: list[Tried] = []
    while True:
        done = {one.slot for one in tried}
        left = [slot for slot in search.slots(tried) if slot not in done]
        if not left:
            return {one.point: one.value for one in tried}
        point = search.point(left[0], tried)
        tried.append(Tried(left[0], point, True, accuracy(point)))


@pytest.mark.parametrize(
    ('best', 'expected'),
    [
        (0.05, [0.01, 0.05, 0.2]),  # inside: no growth
        (0.8, [0.01, 0.05, 0.2, 0.8, 3.2]),  # one beyond the best
        (0.0025, [0.01, 0.05, 0.2, 0.0025, 0.000625]),
        (1e3, [0.01, 0.05, 0.2, 0.8, 3.2, 12.8]),  # three times at most
    ],
)
def test_the_grid_grows_while_its_end_is_best(best, expected):
    tried = play(PRESETS['grow'], lambda p: -abs(p.learning_rate - best))
    assert [point.learning_rate for point in tried] == expected


def test_a_grid_waits_for_all_its_points_before_it_grows():
    search = PRESETS['grow']
    two = [
        Tried(slot, search.point(slot, []), True, value)
        for slot, value in zip(search.slots([]), (1.0, 2.0), strict=False)
    ]
    assert len(search.slots(two)) == 3


def test_a_failed_end_does_not_grow_the_grid():
    def accuracy(point):
        return None if point.learning_rate > 0.1 else point.learning_rate

    assert len(play(PRESETS['grow'], accuracy)) == 3


def test_a_growing_grid_keeps_its_weight_decays():
    search = GridSearch((0.1, 0.2), (0.0, 0.1), growths=1)
    tried = play(search, lambda p: p.learning_rate)
    assert Point(0.8, 0.0) in tried
    assert Point(0.8, 0.1) in tried
    assert len(tried) == 6


def test_vpt_is_a_grid_of_forty():
    points = play(PRESETS['vpt'], lambda p: 0.0)
    assert len(points) == 40
    assert PRESETS['vpt'].optimizer == dict(type='SGD', momentum=0.9)
    assert PRESETS['vpt'].base_batch_size == 256


def test_fixed_needs_no_search():
    assert not PRESETS['fixed'].is_needed
    assert PRESETS['fixed'].point("config's own", []) == Point()
    assert PRESETS['grow'].is_needed
    assert not GridSearch((0.1,)).is_needed


def test_tpe_stays_in_its_box_and_closes_in():
    search = TPESearch(trials=30)
    tried = play(search, lambda p: -abs(p.learning_rate - 0.03))
    rates = [point.learning_rate for point in tried]
    assert len(rates) == 30
    assert all(1e-4 <= rate <= 1 for rate in rates)
    assert all(1e-5 <= point.weight_decay <= 1e-1 for point in tried)
    near = [abs(rate - 0.03) < 0.03 for rate in rates]
    assert sum(near[-10:]) > sum(near[:10])


def test_tpe_proposes_another_point_beside_a_running_one():
    search = TPESearch()
    first = search.point('tpe-0', [])
    running = [Tried('tpe-0', first, False)]
    assert search.point('tpe-1', running) != first
    assert search.point('tpe-1', running) == search.point('tpe-1', running)


def test_the_first_of_equals_is_best_and_failures_are_not():
    tried = [
        Tried('a', Point(0.1), True),
        Tried('b', Point(0.2), True, 50.0),
        Tried('c', Point(0.3), True, 50.0),
    ]
    assert best_point(tried) == Point(0.2)
    assert best_point(tried[:1]) is None


def test_a_plan_changes_what_it_names():
    search = make_search(dict(preset='grow', learning_rate=[1, 2], growths=1))
    assert search == GridSearch((1, 2), growths=1)
    assert make_search('tpe') == TPESearch()


@pytest.mark.parametrize(
    ('entry', 'text'),
    [
        ('bayes', "unknown preset 'bayes'; presets are fixed, grow, grid"),
        (dict(preset='tpe', growths=1), "'tpe' has no 'growths'; it has"),
        (
            dict(learning_rate=[0.1, 0.1]),
            'repeats a value, to six digits',
        ),
        (dict(learning_rate=[0]), 'learning_rate=0 must be positive'),
        (dict(learning_rate=['a']), "learning_rate='a' must be positive"),
        (dict(weight_decay=[-1]), 'weight_decay=-1 must be >= 0'),
        (dict(factor=1), 'factor=1 must be a number > 1'),
        (dict(learning_rate=[]), 'a grid that grows needs learning rates'),
        (dict(learning_rate=[math.nan]), 'learning_rate=nan must be positive'),
        (dict(learning_rate=[math.inf]), 'learning_rate=inf must be positive'),
        (dict(weight_decay=[True]), 'weight_decay=True must be >= 0'),
        (dict(learning_rate=[0.1, 0.10000001]), 'repeats a value, to six dig'),
        (dict(growths=1.5), 'growths=1.5 must be a whole number >= 0'),
        (dict(growths=-1), 'growths=-1 must be a whole number >= 0'),
        (dict(factor=math.nan), 'factor=nan must be a number > 1'),
        (dict(factor='x'), "factor='x' must be a number > 1"),
        (dict(base_batch_size=-1), 'base_batch_size=-1 must be a whole numb'),
        (dict(base_batch_size='x'), "base_batch_size='x' must be a whole nu"),
        (dict(optimizer='SGD'), "optimizer='SGD' must be a mapping with a ty"),
        (dict(optimizer=dict(lr=1)), "optimizer={'lr': 1} must be a mapping"),
        (dict(preset='tpe', trials=2.5), 'trials=2.5 must be a whole number'),
        (dict(preset='tpe', trials=0), 'trials=0 must be a whole number >= 1'),
        (
            dict(preset='tpe', learning_rate=[1, 0.1]),
            r'learning_rate=\[1, 0.1\] of the preset tpe must be \[lowest',
        ),
    ],
)
def test_wrong_searches(entry, text):
    with pytest.raises(ValueError, match=text):
        make_search(entry)


def test_without_optuna_the_error_says_what_to_install(monkeypatch):
    def missing(name, *args):
        raise ImportError(f'no module named {name}')

    monkeypatch.setattr(importlib, 'import_module', missing)
    with pytest.raises(ImportError, match=r"pip install 'vptm_mm\[sweep\]'"):
        optuna_import.import_optuna()
