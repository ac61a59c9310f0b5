"""One walk through folders, for training, checks and prediction."""

from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from vptm_mm import image_content, image_files
from vptm_mm.image_files import describe_skipped, find_files
from vptm_mm.verbs.predict import count_images, find_images

from ..made_datasets import write_image


def fill(root):
    for name in ('a.jpg', 'deep/b.JFIF', 'c.heic', 'scan.jpg/d.png'):
        write_image(root / name)
    for name in ('.ipynb_checkpoints/a.jpg', '__MACOSX/a.jpg', '.hidden.jpg'):
        write_image(root / name)
    (root / 'notes.txt').touch()
    (root / 'deep' / 'circle').symlink_to(root)
    return root


def test_what_is_found_and_what_is_skipped(tmp_path, monkeypatch):
    root = fill(tmp_path / 'images')
    monkeypatch.setattr(image_files, 'can_read_heif', lambda: False)
    images, others = find_files(root)
    names = [path.relative_to(root).as_posix() for path in images]
    assert names == ['a.jpg', 'deep/b.JFIF', 'scan.jpg/d.png']
    skipped = describe_skipped(root, others)
    assert skipped.startswith(f'2 files in {root} are skipped')
    assert describe_skipped(root, others[:1]).startswith(
        f'1 file in {root} is'
    )
    assert skipped.endswith(
        'c.heic, notes.txt. "pip install pillow-heif" to read HEIC images.'
    )
    monkeypatch.setattr(image_files, 'can_read_heif', lambda: True)
    images, others = find_files(root)
    assert root / 'c.heic' in images
    assert 'HEIC' not in describe_skipped(root, others)


def test_prediction_finds_the_same(tmp_path, monkeypatch, capsys):
    root = fill(tmp_path / 'images')
    monkeypatch.setattr(image_files, 'can_read_heif', lambda: False)
    images = find_files(root)[0]
    assert list(find_images([root])) == images
    assert count_images([root]) == len(images)
    assert 'HEIC' in capsys.readouterr().err


def test_heic_is_decoded_by_pillow(monkeypatch):
    """OpenCV cannot, whatever the loader asks for."""
    header = SimpleNamespace(format='HEIF', mode='RGB', size=(2, 2))
    decode = Mock(return_value=np.zeros((2, 2, 3), np.uint8))
    monkeypatch.setattr(image_content, 'open_header', lambda _: header)
    monkeypatch.setattr(image_content, 'imfrombytes', decode)
    image_content.decode(b'heic', 'color', 'cv2')
    assert decode.call_args.kwargs == dict(backend='pillow')


def test_a_heic_image_that_is_named(tmp_path, monkeypatch):
    """As of a phone, given to predict by its path."""
    monkeypatch.setattr(image_content, 'can_read_heif', lambda: False)
    path = tmp_path / 'photo.HEIC'
    path.write_bytes(b'\0\0\0\x18ftypheic\0\0\0\0mif1heic')
    with pytest.raises(ValueError, match='HEIC image; "pip install pillow-'):
        image_content.decode(path.read_bytes())
