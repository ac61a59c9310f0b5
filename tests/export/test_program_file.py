"""Files of torch.export against their classifiers."""

import json
import zipfile

import pytest
import torch

from vptm_mm.export import DESCRIPTION, export_program

from ..conftest import ROOT
from .conftest import needs_export, normalised

MODELS = {
    'shallow, 2x2 masks': (False, dict(mask_grid=2)),
    'deep, logits': (
        True,
        dict(prompt_blocks=range(3), visual_token='logits'),
    ),
    'features of [CLS], linear head': (
        False,
        dict(backbone='FrozenFeatures', head='LinearClsHead'),
    ),
}


@needs_export
@pytest.mark.parametrize(
    ('preprocessing', 'options'), MODELS.values(), ids=MODELS
)
def test_any_batch_has_the_classifiers_scores(
    classifier_on, photos, tmp_path, preprocessing, options
):
    model = classifier_on(**options)
    path = tmp_path / 'a.pt2'
    # One image is enough to verify any batch.
    export_program(model, path, photos[:1], preprocessing)
    extra = {DESCRIPTION: ''}
    program = torch.export.load(path, extra_files=extra).module()
    images = normalised(photos)
    with torch.no_grad():
        expected = model(images)
        for size in (1, 2, 5):
            given = (photos if preprocessing else images)[:size]
            torch.testing.assert_close(
                program(given), expected[:size], atol=1e-4, rtol=0
            )
    description = json.loads(extra[DESCRIPTION])
    assert description['classes'] == ['0', '1', '2', '3', '4']
    assert description['frozen_sha256'] == model.backbone.frozen_sha256
    order = 'BGR' if preprocessing else 'RGB'
    assert description['channel_order'] == order
    assert [p.name for p in tmp_path.iterdir()] == ['a.pt2']
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            for trace in (str(ROOT).encode(), b'site-packages'):
                assert trace not in archive.read(name), name


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'a.onnx must end in .pt2'):
        export_program(None, tmp_path / 'a.onnx', None)
