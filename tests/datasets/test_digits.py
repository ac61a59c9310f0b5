"""The digits of scikit-learn, cut in three."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from vptm_mm.datasets import SklearnDigits


def pixels(dataset) -> set[bytes]:
    return {dataset[i]['img'].tobytes() for i in range(len(dataset))}


def test_digits_are_all_there_once():
    parts = {s: SklearnDigits(split=s) for s in ('train', 'val', 'test')}
    sizes = {name: len(part) for name, part in parts.items()}
    assert sizes == dict(train=1077, val=360, test=360)
    labels = np.concatenate([p.get_gt_labels() for p in parts.values()])
    assert np.array_equal(
        np.bincount(labels), np.bincount(load_digits().target)
    )
    for part in parts.values():
        share = np.bincount(part.get_gt_labels()) / len(part)
        assert np.abs(share - 0.1).max() < 0.005
    assert not pixels(parts['train']) & pixels(parts['test'])
    assert not pixels(parts['val']) & pixels(parts['test'])
    assert parts['train'][0]['img'].shape == (8, 8, 3)
    assert parts['train'].metainfo['classes'] == tuple('0123456789')


def test_digits_are_those_of_scikit_learn():
    digits = load_digits()
    indices = np.arange(len(digits.target))
    cut = dict(random_state=0, stratify=digits.target)
    rest, test = train_test_split(indices, test_size=0.2, **cut)
    cut.update(stratify=digits.target[rest])
    train, val = train_test_split(rest, test_size=0.25, **cut)
    for split, chosen in dict(train=train, val=val, test=test).items():
        part, chosen = SklearnDigits(split=split), sorted(chosen)
        assert np.array_equal(part.get_gt_labels(), digits.target[chosen])
        grey = np.stack([part[i]['img'] for i in range(len(part))])
        expected = np.rint(digits.images[chosen] * 255 / 16)
        assert (grey == expected[..., None]).all()


def test_digits_name_their_list(log):
    for split in ('val', 'test', 'val'):
        len(SklearnDigits(split=split))
    lines = [line for line in log if 'split: ' in line]
    assert lines[0].startswith(
        'val split: 360 of 1797 images, seed 0, sha256 of the list bb9c7e'
    )
    assert lines[0] == lines[2]
    assert lines[0].split()[-1] != lines[1].split()[-1]


def test_digits_unknown_split():
    with pytest.raises(ValueError, match="split='dev' must be one of"):
        SklearnDigits(split='dev')
