"""What a file says about itself."""

import pytest

from vptm_mm.export.description import describe

from .conftest import NUM_CLASSES


def test_class_names_that_do_not_fit_are_refused(classifier_on):
    with pytest.raises(
        ValueError, match=rf'2 class names .* num_classes={NUM_CLASSES}'
    ):
        describe(classifier_on(), False, ['a', 'b'], [])


def test_no_normalisation_is_null(classifier_on):
    model = classifier_on()
    del model.data_preprocessor.mean, model.data_preprocessor.std
    description = describe(model, False, None, [])
    assert description['mean'] is description['std'] is None
    assert description['channel_order'] == 'RGB'
