"""The function that goes into a file, and what does not become one."""

import pytest
import torch
from mmpretrain.models import AverageClsScoreTTA, LinearClsHead
from mmpretrain.registry import MODELS

from vptm_mm.exporting.export_file import export_classifier
from vptm_mm.exporting.exported_classifier import ExportedClassifier
from vptm_mm.models import FrozenFeatures

from ..conftest import ENCODER
from .conftest import NUM_CLASSES, needs_export, normalised


def test_scores_are_the_classifiers(classifier_on, photos):
    model = classifier_on()
    with torch.no_grad():
        expected = model(normalised(photos))
        outside = ExportedClassifier(model)(normalised(photos))
        inside = ExportedClassifier(model, preprocessing=True)(photos)
        (sample, *_) = model.predict(normalised(photos))
    assert expected.shape == (5, NUM_CLASSES)
    torch.testing.assert_close(outside, expected, atol=0, rtol=0)
    torch.testing.assert_close(inside, expected, atol=1e-5, rtol=0)
    # What the documentation says of MMPretrain's predictions.
    torch.testing.assert_close(sample.pred_score, expected[0].softmax(-1))


def test_another_kind_of_model_is_refused(classifier_on):
    model = classifier_on()
    tta = AverageClsScoreTTA(module=model).eval()
    with pytest.raises(TypeError, match='AverageClsScoreTTA with '):
        ExportedClassifier(tta)
    resnet = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='ResNet', depth=18),
            head=dict(type='LinearClsHead', num_classes=2, in_channels=512),
        )
    )
    with pytest.raises(TypeError, match='with ResNet and ClsDataPre.* cannot'):
        ExportedClassifier(resnet.eval())
    model.head = None
    with pytest.raises(TypeError, match='cannot be exported; .* a head and'):
        ExportedClassifier(model)


def test_another_preprocessor_is_refused(classifier_on):
    model = classifier_on()
    model.data_preprocessor = MODELS.build(
        dict(type='SelfSupDataPreprocessor')
    ).eval()
    with pytest.raises(
        TypeError, match='and SelfSupDataPreprocessor cannot be exported'
    ):
        ExportedClassifier(model)


def test_dropout_is_no_part_of_it(classifier_on):
    model = classifier_on().train()
    ExportedClassifier(model)
    assert not any(module.training for module in model.modules())


def test_another_precision_is_refused(classifier_on):
    model = classifier_on()
    mask_token = model.backbone.encoder.mask_token
    mask_token.data = mask_token.data.double()
    with pytest.raises(
        ValueError, match=r'mask_token is torch.float64 on cpu; export writes'
    ):
        ExportedClassifier(model)
    with pytest.raises(
        ValueError,
        match=r'torch.bfloat16 on cpu; .*cfg-options model.backbone.dtype=fl',
    ):
        ExportedClassifier(classifier_on(dtype='bfloat16'))


def test_a_backbone_without_weights_is_refused(
    classifier_on, photos, tmp_path
):
    model = classifier_on('FrozenFeatures')
    model.backbone = FrozenFeatures(ENCODER).eval()
    with pytest.raises(RuntimeError, match='has no pre-trained weights'):
        export_classifier(model, tmp_path / 'a.pt2', photos)
    assert not list(tmp_path.iterdir())


class BranchingHead(LinearClsHead):
    def forward(self, feats):
        scores = super().forward(feats)
        return scores if scores.sum() > 0 else -scores


class TwoScoresHead(LinearClsHead):
    def forward(self, feats):
        return {'scores': super().forward(feats)}


def test_several_outputs_and_normalised_images_are_refused(
    classifier_on, photos, tmp_path
):
    model = classifier_on(head=dict(type=TwoScoresHead))
    with pytest.raises(TypeError, match='TwoScoresHead returns a dict; exp'):
        export_classifier(model, tmp_path / 'a.pt2', photos)
    images = normalised(photos)
    with pytest.raises(TypeError, match='images of torch.float32 must be ui'):
        export_classifier(classifier_on(), tmp_path / 'a.pt2', images)


@needs_export
def test_a_head_that_is_no_function_is_refused(
    classifier_on, photos, tmp_path
):
    model = classifier_on(head=dict(type=BranchingHead))
    message = r'cannot trace the classifier \(VPTMBackbone, BranchingHead\)'
    with pytest.raises(RuntimeError, match=message):
        export_classifier(model, tmp_path / 'a.pt2', photos)


def test_an_old_torch_is_refused(classifier_on, photos, tmp_path, monkeypatch):
    model = classifier_on()
    monkeypatch.setattr(torch, '__version__', '2.5.1')
    with pytest.raises(RuntimeError, match=r'torch 2.5.1 cannot .* >= 2.7'):
        export_classifier(model, tmp_path / 'a.pt2', photos)


def test_class_names_that_do_not_fit_are_refused(classifier_on):
    exported = ExportedClassifier(classifier_on())
    with pytest.raises(
        ValueError, match=rf'2 class names .* num_classes={NUM_CLASSES}'
    ):
        exported.describe(['a', 'b'], [])
