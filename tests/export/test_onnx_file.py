"""ONNX files against the classifiers that they were made of."""

import json
import sys

import pytest
import torch
from mmpretrain.models import LinearClsHead

from vptm_mm.export import OPSET, export_onnx, onnx_file

from ..conftest import ROOT
from .conftest import needs_export, normalised

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

MODELS = {
    'deep, logits': dict(prompt_blocks=range(3), visual_token='logits'),
    'no prompts, logits, 2x2 masks': dict(
        prompt_length=0, visual_token='logits', mask_grid=2
    ),
    'late, other biases, 2x2 masks, linear head': dict(
        prompt_blocks=(2,),
        prompt_location='after_cls',
        prompt_bias='cls',
        mask_bias='zero',
        mask_grid=2,
        head='LinearClsHead',
    ),
    'features of patches': dict(
        backbone='FrozenFeatures',
        readout='patches',
        pool_grid=3,
        head=dict(type='PrototypeVerbalizerHead', learnable_temperature=True),
    ),
}


def run(path, images):
    session = onnxruntime.InferenceSession(str(path))
    (scores,) = session.run(['scores'], {'images': images.numpy()})
    return torch.from_numpy(scores)


@needs_export
@pytest.mark.parametrize('options', MODELS.values(), ids=MODELS)
def test_any_batch_has_the_classifiers_scores(
    classifier_on, photos, tmp_path, options
):
    model = classifier_on(**options)
    path = tmp_path / 'a.onnx'
    difference = export_onnx(model, path, photos[:3])
    assert 0 < difference <= 1e-4
    images = normalised(photos)
    with torch.no_grad():
        expected = model(images)
    assert expected.std() > 1e-2
    for size in (1, 2, 5):
        torch.testing.assert_close(
            run(path, images[:size]), expected[:size], atol=1e-4, rtol=0
        )
    assert [p.name for p in tmp_path.iterdir()] == ['a.onnx']


@needs_export
def test_preprocessing_and_description_are_inside(
    classifier_on, photos, tmp_path
):
    model = classifier_on()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    path = tmp_path / 'a.onnx'
    names = ['Häher', 'b', 'c', 'd', 'e']
    pipeline = [dict(type='Resize', scale=(16, 16)), dict(type='PackInputs')]
    export_onnx(
        model,
        path,
        photos,
        preprocessing=True,
        classes=names,
        pipeline=pipeline,
    )
    with torch.no_grad():
        expected = model(normalised(photos))
    torch.testing.assert_close(run(path, photos), expected, atol=1e-4, rtol=0)

    loaded = onnx.load(path)
    assert [(o.domain, o.version) for o in loaded.opset_import] == [
        ('', OPSET)
    ]
    data = {entry.key: entry.value for entry in loaded.metadata_props}
    assert data.pop('format') == 'vptm_mm.classifier'
    assert data.pop('frozen_sha256') == model.backbone.frozen_sha256
    assert data.pop('channel_order') == 'BGR'
    assert data.pop('version')
    assert {key: json.loads(value) for key, value in data.items()} == dict(
        classes=names,
        image_size=[16, 16],
        preprocessing=True,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        pipeline=[dict(type='Resize', scale=[16, 16]), pipeline[1]],
    )
    # The classifier is as it was; the file knows no files of this machine.
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert model.backbone.tuning.prompt_tokens.prompts.requires_grad
    for trace in (str(ROOT).encode(), b'site-packages'):
        assert trace not in path.read_bytes()


class GammaHead(LinearClsHead):
    """A head with an operation that ONNX lacks."""

    def forward(self, feats):
        return torch.special.gammainc(
            torch.ones(1), super().forward(feats).exp()
        )


@needs_export
def test_an_operation_that_onnx_lacks_is_refused(
    classifier_on, photos, tmp_path
):
    model = classifier_on(head=dict(type=GammaHead))
    with pytest.raises(
        RuntimeError, match='ONNX opset 18 cannot express the classifier'
    ):
        export_onnx(model, tmp_path / 'a.onnx', photos)
    assert not list(tmp_path.iterdir())


@needs_export
def test_a_model_beyond_one_file_is_refused(
    classifier_on, photos, tmp_path, monkeypatch
):
    monkeypatch.setattr(onnx_file, 'MAX_BYTES', 1000)
    with pytest.raises(
        ValueError, match=r'holds \d+ bytes; one ONNX file holds less than'
    ):
        export_onnx(classifier_on(), tmp_path / 'a.onnx', photos)


@pytest.mark.parametrize('package', onnx_file.PACKAGES)
def test_a_missing_package_is_named(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError,
        match=rf"^{package} cannot .* pip install 'vptm_mm\[export\]'",
    ):
        export_onnx(None, tmp_path / 'a.onnx', None)
