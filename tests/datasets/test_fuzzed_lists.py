"""Any changed list of images is read or refused by a text that names it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vptm_mm.datasets import ImageFolder, NABirds, VTAB1k

from ..fuzzing import fuzz
from ..made_datasets import make_nabirds, make_vtab

LISTS = [
    (NABirds, 'images.txt', 5),
    (NABirds, 'image_class_labels.txt', 5),
    (NABirds, 'train_test_split.txt', 5),
    (NABirds, 'classes.txt', 5),
    (VTAB1k, 'kitti/train800.txt', 30),
]
# Beside any bytes, those that mean something somewhere.
PIECES = st.binary(max_size=4) | st.sampled_from(
    [b'9' * 5000, b'\n', b' ', b'\0', b'../', b'/', '\u0663'.encode(), b'-1']
)


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp('fuzzed')
    return {
        NABirds: make_nabirds(folder),
        VTAB1k: make_vtab(folder, ('kitti',)),
    }


@pytest.mark.parametrize(('cls', 'name', 'few'), LISTS)
def test_fuzzed_lists(roots, cls, name, few):
    path = roots[cls] / name
    whole = path.read_bytes()
    options = dict(task='kitti') if cls is VTAB1k else {}

    @fuzz(few)
    @given(data=st.data())
    def try_one(data):
        content = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 5))):
            start = data.draw(st.integers(0, len(content)))
            length = data.draw(st.integers(0, 4))
            content[start : start + length] = data.draw(PIECES)
        path.write_bytes(content)
        try:
            cls(data_root=str(roots[cls]), **options)
        except (ValueError, FileNotFoundError) as error:
            assert str(roots[cls]) in str(error)  # noqa: PT017

    try:
        try_one()
    finally:
        path.write_bytes(whole)


NAMES = st.text(
    st.characters(exclude_characters='/\0', exclude_categories=['Cs']),
    min_size=1,
    max_size=6,
) | st.sampled_from(['train', 'test', 'val', 'a.jpg', '.hidden', 'x.PNG'])


@fuzz(30)
@given(paths=st.lists(st.lists(NAMES, min_size=1, max_size=3), max_size=12))
def test_fuzzed_folders(paths, tmp_path_factory):
    root = tmp_path_factory.mktemp('folder')
    for parts in paths:
        path = root.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError:  # a name is a folder and a file
            continue
    try:
        dataset = ImageFolder(data_root=str(root), split='train')
    except (ValueError, FileNotFoundError) as error:
        text = str(error)
        assert str(root) in text or text.startswith('class ')  # noqa: PT017
        return
    assert len(dataset)
