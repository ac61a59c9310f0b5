"""Confusions are counted by hand; many classes stay readable."""

import numpy as np
import pytest
import torch

from vptm_mm.visualization.confusion import (
    confused_pairs,
    count_confusions,
    most_confused,
    plot_confusion,
)

LABELS = torch.tensor([0, 0, 0, 1, 2, 2])
PREDICTED = torch.tensor([0, 2, 2, 1, 0, 2])
COUNTS = np.array([[1, 0, 2, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])


def test_counts():
    assert (count_confusions(LABELS, PREDICTED, 4) == COUNTS).all()


def test_most_confused_classes():
    # Errors given or received: 3, 0, 3, 0.
    assert list(most_confused(COUNTS, 2)) == [0, 2]
    assert list(most_confused(COUNTS, 9)) == [0, 1, 2, 3]


def test_pairs():
    assert confused_pairs(COUNTS, 'abcd') == [
        'a taken for c: 2 of 3',
        'c taken for a: 1 of 2',
    ]


def test_no_labels():
    with pytest.raises(ValueError, match='no true classes, without which'):
        count_confusions(None, PREDICTED, 4)


def test_few_classes_have_numbers_and_the_accuracy():
    figure = plot_confusion(COUNTS, ['cat', 'dog', 'cow', 'a' * 40])
    ax = figure.axes[0]
    assert ax.get_title() == 'Confusion of 6 images: top-1 50.0 %'
    assert sorted(text.get_text() for text in ax.texts) == list('11112')
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names == ['cat', 'dog', 'cow', 'a' * 21 + '…']


def test_of_many_classes_the_most_confused_are_drawn():
    counts = np.diag(np.full(200, 9))
    counts[150, 7] = counts[7, 150] = 5
    figure = plot_confusion(counts, [str(i) for i in range(200)])
    ax = figure.axes[0]
    assert '40 of 200 classes with the most errors' in ax.get_title()
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) == 40
    assert {'7', '150'} <= set(names)
    assert not ax.texts
    # A share is of all images of the class, shown or not.
    row = names.index('7')
    assert ax.images[0].get_array()[row, row] == pytest.approx(900 / 14)
