"""The card of a backbone, from a work dir that was made without a run."""

import hashlib
import json

import pytest

from vptm_mm.pretraining.card import write_card

from ..conftest import ROOT
from ..report.made_run import make_start

MADE = dict(predicts='patches')
BACKBONE = ROOT / 'vptm_mm' / 'checkpoints' / 'beitv2-tiny_digits.pth'


def epochs(first: int, last: int) -> list[dict]:
    """Lines of ``scalars.json``: an hour, ten iterations, for each epoch."""
    return [
        dict(time=360, loss=1.0, iter=10 * number, step=10 * number)
        for number in range(first, last + 1)
    ]


def rows(folder) -> dict[str, str]:
    lines = write_card(folder, 'a.pth', MADE).read_text().splitlines()
    assert lines[:2] == ['# a', '']
    cells = [line.strip('| ').split(' | ') for line in lines[4:]]
    return {cell[0]: cell[1] for cell in cells}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'a.pth').write_bytes(BACKBONE.read_bytes())
    return tmp_path


def test_what_a_card_says(folder):
    make_start(folder, '20260102_000001', epochs(1, 3))
    report = dict(accuracy=0.25, masked_patches=12)
    (folder / 'masked_token_accuracy.json').write_text(json.dumps(report))
    for name in ('linear_probe', 'linear_probe_other'):
        (folder / f'{name}.json').write_text(json.dumps(dict(cls=0.5)))
    found = rows(folder)
    assert found['sha256'] == hashlib.sha256(BACKBONE.read_bytes()).hexdigest()
    assert found['architecture'] == (
        '6 blocks, width 128, 4 heads, patches of 8 px'
    )
    assert found['reads'].startswith(
        'images of 32 x 32 px, data_preprocessor=dict(mean=[123.675, '
    )
    assert found['predicts'] == 'patches'
    assert found['images'] == '9'
    assert found['seed'] == '5'
    assert found['starts'] == '1'
    assert found['hours of iterations'] == '3.00'
    assert found['masked token accuracy'] == 'accuracy 0.25, masked_patches 12'
    assert found['linear probe'] == found['linear probe other'] == 'cls 0.5'
    assert 'visual tokens' not in found


def test_epochs_of_all_starts_count_once(folder):
    """Killed in the fourth epoch, resumed after the second."""
    make_start(folder, '20260102_000001', epochs(1, 3))
    make_start(folder, '20260102_000002', epochs(3, 4))
    found = rows(folder)
    assert found['starts'] == '2'
    assert found['iterations'] == '40'
    assert found['hours of iterations'] == '4.00'


def test_no_run(folder):
    with pytest.raises(FileNotFoundError, match='no run in'):
        write_card(folder, 'a.pth', MADE)


def test_the_cards_that_come_with_the_package():
    cards = sorted(BACKBONE.parent.glob('*.md'))
    assert cards
    for card in cards:
        weights = card.with_suffix('.pth').read_bytes()
        digest = hashlib.sha256(weights).hexdigest()
        assert f'| sha256 | {digest} |' in card.read_text()
