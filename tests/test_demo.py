"""What the page shows."""

from pathlib import Path

import numpy as np
from PIL import Image

from vptm_mm.datasets import SklearnDigits
from vptm_mm.demo import classify_and_show, write_examples
from vptm_mm.image_content import decode
from vptm_mm.tasks import VPTMTaskPool

from .verbs.test_predict import TASK


def test_an_example_of_each_class(tmp_path):
    examples = write_examples(tmp_path)
    dataset = SklearnDigits(split='test')
    images = [dataset.get_data_info(i)['img'] for i in range(len(dataset))]
    labels = dataset.get_gt_labels()
    assert len(examples) == 10
    for digit, path in enumerate(examples):
        pixels = np.asarray(Image.open(path))
        same = [np.array_equal(pixels, image) for image in images]
        assert digit in labels[same]


def test_pictures(tmp_path):
    pool = VPTMTaskPool.from_files([TASK, f'again={TASK}'])
    image = decode(Path(write_examples(tmp_path)[3]).read_bytes())
    runs = []
    pool.encoder.patch_embed.register_forward_hook(
        lambda *args: runs.append(1)
    )
    names = ['again', TASK.stem]
    shown = list(classify_and_show(pool, names, image))
    assert runs == [1]  # for both tasks
    assert [name for name, _, _ in shown] == names
    assert [result['pred_class'] for _, result, _ in shown] == ['3', '3']
    _, _, pictures = shown[0]
    (seen, _), (_, caption) = pictures
    assert [picture.size for picture, _ in pictures] == [(320, 320)] * 2
    # The task enlarges 8x8 to 32x32 pixels; the page, to 320x320.
    small = seen.resize((32, 32), Image.Resampling.BOX)
    small = np.asarray(small.resize((8, 8), Image.Resampling.BOX)).astype(int)
    assert np.corrcoef(small.ravel(), image.ravel())[0, 1] > 0.95
    assert caption.startswith('Where [MASK] looks, 0 to ')
