"""Files against the classifiers that they were made of."""

import json
import sys
import zipfile

import pytest
import torch

from vptm_mm.exporting import export_file
from vptm_mm.exporting.export_file import (
    DESCRIPTION,
    OPSET,
    export_classifier,
)

from ..conftest import ROOT
from .conftest import needs_export, normalised

# Suffix and options.
MODELS = {
    'features of [CLS], linear head': (
        'pt2',
        dict(backbone='FrozenFeatures', head='LinearClsHead'),
    ),
    'features of patches': (
        'onnx',
        dict(
            backbone='FrozenFeatures',
            readout='patches',
            pool_grid=3,
            head=dict(
                type='PrototypeVerbalizerHead', learnable_temperature=True
            ),
        ),
    ),
}


@pytest.fixture
def onnx():
    """The package, where all that ONNX needs is there."""
    for package in export_file.ONNX_PACKAGES:
        pytest.importorskip(package)
    return pytest.importorskip('onnx')


def open_file(path):
    if path.suffix == '.pt2':
        return torch.export.load(path).module()
    onnxruntime = pytest.importorskip('onnxruntime')
    session = onnxruntime.InferenceSession(str(path))

    def run(images):
        (scores,) = session.run(['scores'], {'images': images.numpy()})
        return torch.from_numpy(scores)

    return run


def check_scores(model, path, photos, preprocessing):
    """Batches of any size have the scores of the classifier."""
    function = open_file(path)
    images = normalised(photos)
    with torch.no_grad():
        expected = model(images)
        assert expected.std() > 1e-2
        for size in (1, 2, 5):
            given = (photos if preprocessing else images)[:size]
            torch.testing.assert_close(
                function(given), expected[:size], atol=1e-4, rtol=0
            )


@needs_export
@pytest.mark.parametrize(('suffix', 'options'), MODELS.values(), ids=MODELS)
def test_any_batch_has_the_classifiers_scores(
    classifier_on, photos, tmp_path, request, suffix, options
):
    if suffix == 'onnx':
        request.getfixturevalue('onnx')
    model = classifier_on(**options)
    path = tmp_path / f'a.{suffix}'
    # One image is enough to verify any batch.
    difference = export_classifier(model, path, photos[:1])
    assert 0 <= difference <= 1e-4
    check_scores(model, path, photos, preprocessing=False)
    assert list(tmp_path.iterdir()) == [path]


@needs_export
def test_a_pt2_knows_itself_and_not_this_machine(
    classifier_on, photos, tmp_path
):
    model = classifier_on(
        prompt_blocks=range(3), visual_token='logits', mask_grid=2
    )
    path = tmp_path / 'a.pt2'
    export_classifier(model, path, photos[:1])
    check_scores(model, path, photos, preprocessing=False)
    extra = {DESCRIPTION: ''}
    torch.export.load(path, extra_files=extra)
    description = json.loads(extra[DESCRIPTION])
    assert description['classes'] == ['0', '1', '2', '3', '4']
    assert description['frozen_sha256'] == model.backbone.frozen_sha256
    assert description['channel_order'] == 'RGB'
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            for trace in (str(ROOT).encode(), b'site-packages'):
                assert trace not in archive.read(name), name


def test_a_bad_target_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'a.bin must end in .onnx or .pt2'):
        export_classifier(None, tmp_path / 'a.bin', None)
    with pytest.raises(FileNotFoundError, match=f'no folder {tmp_path}/gone'):
        export_classifier(None, tmp_path / 'gone' / 'a.pt2', None)
    for tolerance in (0, -1, float('nan'), float('inf')):
        with pytest.raises(
            ValueError, match=rf'tolerance={tolerance} must be positive'
        ):
            export_classifier(
                None, tmp_path / 'a.pt2', None, tolerance=tolerance
            )


@needs_export
def test_a_model_beyond_one_file_is_refused(
    classifier_on, photos, tmp_path, monkeypatch, onnx
):
    save = torch.onnx.ONNXProgram.save
    monkeypatch.setattr(
        torch.onnx.ONNXProgram,
        'save',
        lambda program, path: save(program, path, external_data=True),
    )
    with pytest.raises(ValueError, match='too large for one ONNX file'):
        export_classifier(classifier_on(), tmp_path / 'a.onnx', photos)
    assert not list(tmp_path.iterdir())


@needs_export
@pytest.mark.parametrize('change', ['shift', 'nan', 'batch'])
def test_a_wrong_file_is_not_kept(
    classifier_on, photos, tmp_path, monkeypatch, change
):
    """Whatever differs; a file that was there before stays."""
    model = classifier_on()

    def write(program, description, path):
        path.write_text('new')

    def load_changed(path):
        return lambda images: {
            'shift': model(images) + 1e-3,
            'nan': model(images) * float('nan'),
            'batch': model(images) * (len(images) == 1),
        }[change]

    monkeypatch.setattr(export_file, '_trace', lambda *_: None)
    monkeypatch.setitem(export_file.FORMATS, '.pt2', (write, load_changed))
    path = tmp_path / 'a.pt2'
    path.write_text('old')
    with pytest.raises(RuntimeError, match=r'a.pt2 was not kept: its scores'):
        export_classifier(model, path, photos)
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


@needs_export
def test_an_onnx_knows_itself_and_not_this_machine(
    classifier_on, photos, tmp_path, onnx
):
    model = classifier_on(
        prompt_blocks=(2,),
        prompt_location='after_cls',
        prompt_bias='cls',
        mask_bias='zero',
        mask_grid=2,
        head='LinearClsHead',
    )
    before = {k: v.clone() for k, v in model.state_dict().items()}
    path = tmp_path / 'a.onnx'
    names = ['Häher', 'b', 'c', 'd', 'e']
    pipeline = [dict(type='Resize', scale=(16, 16)), dict(type='PackInputs')]
    export_classifier(
        model,
        path,
        photos,
        preprocessing=True,
        classes=names,
        pipeline=pipeline,
    )
    check_scores(model, path, photos, preprocessing=True)
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


@needs_export
def test_an_operation_that_onnx_lacks_is_refused(
    classifier_on, photos, tmp_path, monkeypatch, onnx
):
    def refuse(*args, **options):
        raise NotImplementedError('aten.special_gammainc')

    monkeypatch.setattr(torch.onnx, 'export', refuse)
    with pytest.raises(
        RuntimeError, match='ONNX opset 18 cannot express the classifier: aten'
    ):
        export_classifier(classifier_on(), tmp_path / 'a.onnx', photos)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('package', export_file.ONNX_PACKAGES)
def test_a_missing_package_is_named(tmp_path, monkeypatch, package, onnx):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError,
        match=rf"^{package} cannot .* pip install 'vptm_mm\[export\]'",
    ):
        export_classifier(None, tmp_path / 'a.onnx', None)
