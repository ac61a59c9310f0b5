"""Which points a search tries, given what validation said so far."""

import math
from dataclasses import replace

import optuna
import pytest

from vptm_mm.compare.search import (
    PRESETS,
    Search,
    best_slot,
    make_search,
)


def play(search, accuracy) -> dict[str, float | None]:
    """Try every slot, one after the other, until none is left."""
    study = optuna.create_study(direction='maximize')
    ended: dict[str, float | None] = {}
    while True:
        points = search.slots(ended)
        left = [slot for slot in points if slot not in ended]
        if not left:
            return ended
        study.enqueue_trial(points[left[0]])
        trial = study.ask()
        search.suggest(trial)
        point = points[left[0]]
        assert trial.params == point or not point
        value = ended[left[0]] = accuracy(trial.params)
        if value is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, value)


def rates_of(search, accuracy):
    points = search.slots(play(search, accuracy)).values()
    return [point['learning_rate'] for point in points]


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
    assert (
        rates_of(PRESETS['grow'], lambda p: -abs(p['learning_rate'] - best))
        == expected
    )


def test_a_failed_end_does_not_grow_the_grid():
    def accuracy(point):
        rate = point['learning_rate']
        return None if rate > 0.1 else rate

    assert len(play(PRESETS['grow'], accuracy)) == 3


def test_a_growing_grid_keeps_its_weight_decays():
    search = Search((0.1, 0.2), (0.0, 0.1), growths=1)
    ended = play(search, lambda point: point['learning_rate'])
    assert list(ended)[4:] == [
        'learning_rate 0.8, weight_decay 0',
        'learning_rate 0.8, weight_decay 0.1',
    ]
    assert len(ended) == 6


def test_vpt_is_a_grid_of_forty():
    assert len(play(PRESETS['vpt'], lambda point: 0.0)) == 40
    assert PRESETS['vpt'].optimizer == dict(type='SGD', momentum=0.9)
    assert PRESETS['vpt'].base_batch_size == 256


def test_fixed_needs_no_search():
    assert not PRESETS['fixed'].is_needed
    assert PRESETS['fixed'].slots({}) == {"config's own rates": {}}
    assert PRESETS['grow'].is_needed
    assert not Search((0.1,)).is_needed


def test_tpe_stays_in_its_box_and_closes_in():
    tried = []

    def accuracy(point):
        tried.append(point)
        return -abs(point['learning_rate'] - 0.03)

    play(replace(PRESETS['tpe'], trials=30), accuracy)
    rates = [point['learning_rate'] for point in tried]
    assert len(set(rates)) == 30
    assert all(1e-4 <= rate <= 1 for rate in rates)
    assert all(1e-5 <= point['weight_decay'] <= 1e-1 for point in tried)
    near = [abs(rate - 0.03) < 0.03 for rate in rates]
    assert sum(near[-10:]) > sum(near[:10])


def test_the_first_of_equals_is_best_and_failures_are_not():
    ended = dict(a=None, b=50.0, c=50.0)
    assert best_slot('abcd', ended) == 'b'
    assert best_slot('ad', ended) is None


def test_a_plan_changes_what_it_names():
    search = make_search(dict(preset='grow', learning_rate=[1, 2], growths=1))
    assert search == Search((1, 2), growths=1)
    assert make_search('tpe') == PRESETS['tpe']


@pytest.mark.parametrize(
    ('entry', 'text'),
    [
        ('bayes', "unknown preset 'bayes'; presets are fixed, grow, grid"),
        (dict(growth=1), "unknown key 'growth'; keys are preset, learning"),
        (dict(learning_rate=[0]), 'learning_rate=0 must be positive'),
        (dict(learning_rate=['a']), "learning_rate='a' must be positive"),
        (dict(weight_decay=[-1]), 'weight_decay=-1 must be >= 0'),
        (dict(learning_rate=[]), 'a search that grows, or has trials, needs'),
        (dict(learning_rate=[math.nan]), 'learning_rate=nan must be positive'),
        (dict(growths=-1), 'growths=-1 must be an int >= 0'),
        (dict(preset='tpe', trials=2.5), 'trials=2.5 must be an int >= 0'),
        (
            dict(preset='tpe', learning_rate=[1, 0.1]),
            r'learning_rate=\[1, 0.1\] of the preset tpe must be \[lowest',
        ),
    ],
)
def test_wrong_searches(entry, text):
    with pytest.raises(ValueError, match=text):
        make_search(entry)
