"""Images of all kinds: what is read, and what is refused with which words."""

import re
import warnings

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset
from mmengine.utils import digit_version
from mmpretrain import ImageClassificationInferencer
from PIL import Image
from torch.utils.data import DataLoader

from vptm_mm.datasets import LoadCheckedImage
from vptm_mm.image_content import MAX_PIXELS, decode

from ..made_images import KINDS, PIXELS, encode
from ..made_tasks import make_classifier

# What is said of each kind that is not read.
REFUSED = {
    'zero bytes': 'the file is empty',
    'text named .jpg': 'is not an image',
    'JPEG cut short': 'is cut short: its end is missing',
    'JPEG without its last two bytes': 'is cut short: its end is missing',
    'JPEG with a preview, cut short': 'is cut short: its end is missing',
    'JPEG whose second half is zeros': 'is cut short: its end is missing',
    'PNG cut short': 'cannot decode this PNG file',
    'PNG with a wrong byte': 'cannot decode this PNG file',
    'BMP cut short': 'cannot decode this BMP file',
    'TIFF cut short': 'cannot decode this TIFF file',
    'WEBP cut short': 'is not an image',
    'TIFF of 32 bit numbers': 'cannot decode this TIFF file',
    '20,000 px wide, 10 high': 'is too thin',
    'header says 10,000 x 10,000': 'has more than 89,478,485 pixels',
    'header says 20,000 x 20,000': 'has more than 89,478,485 pixels',
}
READ = [kind for kind in KINDS if kind not in REFUSED]


@pytest.fixture
def write(tmp_path):
    def _write(kind: str) -> str:
        name, make = KINDS[kind]
        (tmp_path / name).write_bytes(make())
        return str(tmp_path / name)

    return _write


@pytest.mark.parametrize('kind', READ)
def test_what_is_read(kind, write):
    if kind == 'animated GIF' and digit_version(
        cv2.__version__
    ) < digit_version('4.12'):
        pytest.skip(f'OpenCV {cv2.__version__}')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        image = LoadCheckedImage()(dict(img_path=write(kind)))['img']
    assert image.dtype == np.uint8
    assert image.ndim == image.shape[2] == 3


@pytest.mark.parametrize('kind', REFUSED)
def test_what_is_refused(kind, write):
    path = write(kind)
    with pytest.raises(ValueError, match=re.escape(REFUSED[kind])) as error:
        LoadCheckedImage()(dict(img_path=path))
    assert str(error.value).startswith(f'{path}: ')


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize(
    'kind',
    [kind for kind in READ if not re.search('16 bit|20,000|GIF', kind)],
)
def test_what_is_sound_is_read_as_the_host_reads_it(kind, backend, write):
    results = [
        load(dict(img_path=write(kind), img_id=3))
        for load in (
            LoadCheckedImage(imdecode_backend=backend),
            LoadImageFromFile(imdecode_backend=backend),
        )
    ]
    np.testing.assert_array_equal(results[0].pop('img'), results[1].pop('img'))
    assert results[0] == results[1]


def test_exif_turns_and_frames_are_the_first(write):
    for kind, expected in (
        ('rotated by EXIF', np.rot90(PIXELS, -1)),
        ('TIFF of several pages', PIXELS),
        ('16 bit PNG', PIXELS[..., ::-1]),  # written as BGR
        ('RGBA, transparent', PIXELS),
    ):
        image = LoadCheckedImage()(dict(img_path=write(kind)))['img']
        error = np.abs(image[..., ::-1].astype(int) - expected).mean()
        assert error < 12, kind  # JPEG


def test_float_images_and_missing_ones(tmp_path, write):
    load = LoadCheckedImage(to_float32=True)
    assert load(dict(img_path=write('PNG')))['img'].dtype == np.float32
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}/gone.jpg'):
        load(dict(img_path=f'{tmp_path}/gone.jpg'))


def test_the_largest_image(tmp_path):
    side = int(MAX_PIXELS**0.5)
    content = encode('PNG', Image.new('1', (side, side)))
    assert decode(content, flag='grayscale').shape == (side, side)


def test_the_path_comes_from_a_worker(write):
    path = write('JPEG cut short')
    dataset = BaseDataset(lazy_init=True, pipeline=[LoadCheckedImage()])
    dataset.load_data_list = lambda: [dict(img_path=path)]
    dataset.full_init()
    with pytest.raises(ValueError, match=f'{path}: the JPEG file of .* end'):
        list(DataLoader(dataset, num_workers=1))


def test_the_hosts_inferencer_loads_by_itself(checkpoint, write):
    """It knows the host's loader by its name only."""
    model = make_classifier(checkpoint)
    infer = ImageClassificationInferencer(model)
    (expected,) = infer(write('PNG'))
    pipeline = model._config.test_dataloader.dataset.pipeline
    assert pipeline[0].type == 'LoadImageFromFile'
    pipeline[0].type = 'LoadCheckedImage'
    (found,) = ImageClassificationInferencer(model)(write('PNG'))
    assert found['pred_score'] == expected['pred_score']
