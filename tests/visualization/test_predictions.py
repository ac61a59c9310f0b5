"""What is shown of a classifier is what it says."""

import pytest
import torch

from vptm_mm.visualization.predictions import (
    class_names,
    pre_logits,
    predict,
)

from ..made_tasks import make_classifier
from .made_batches import make_batches


def test_predictions(checkpoint):
    model = make_classifier(checkpoint)
    found = predict(model, make_batches(), pre_logits)
    (batch,) = make_batches(batch_size=10)
    inputs = model.data_preprocessor(batch, False)['inputs']
    with torch.no_grad():
        feats = model.extract_feat(inputs)
        assert torch.equal(found.predicted, model.head(feats).argmax(1))
        scores = model.head(feats).softmax(1).amax(1)
        expected = model.head.pre_logits(feats)
    torch.testing.assert_close(found.confidence, scores)
    torch.testing.assert_close(found.features, expected)
    assert torch.equal(found.labels, torch.arange(10) % 5)
    assert predict(model, make_batches(labels=False)).labels is None
    assert not predict(model, make_batches()).features.numel()


def test_images_of_several_classes(checkpoint):
    several = make_batches()
    several[0]['data_samples'][0].set_gt_label([0, 1])
    with pytest.raises(ValueError, match='an image with several classes'):
        predict(make_classifier(checkpoint), several)


def test_heads_without_a_feature(checkpoint):
    model = make_classifier(checkpoint)

    class Bare(torch.nn.Module):
        def predict(self, feats, samples):
            return [
                sample.set_pred_label(0).set_pred_score(torch.ones(1))
                for sample in samples
            ]

    model.head = Bare()
    with pytest.raises(ValueError, match='Bare has no pre_logits'):
        predict(model, make_batches(), pre_logits)
    model.head.pre_logits = lambda feats: feats[-1][..., None]
    with pytest.raises(ValueError, match='not a feature of shape'):
        predict(model, make_batches(), pre_logits)


def test_class_names(checkpoint):
    class Digits:
        metainfo = dict(classes=('zero', 'one'))

    model = make_classifier(checkpoint, num_classes=2)
    model._dataset_meta = None
    assert class_names(model) == ['0', '1']
    assert class_names(model, Digits()) == ['zero', 'one']
    model._dataset_meta = dict(classes=('cat', 'dog'))
    assert class_names(model, Digits()) == ['cat', 'dog']
