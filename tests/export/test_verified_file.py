"""A file is written whole and right, or not at all."""

from types import SimpleNamespace

import pytest
import torch

from vptm_mm.export.verified_file import require_target, write_verified

TRACED = SimpleNamespace(inputs=torch.ones(2, 1), scores=torch.ones(2, 3))


def load_constant(value):
    def load(path):
        assert path.read_text() == 'new'
        return lambda inputs: torch.full((len(inputs), 3), value)

    return load


def write(part):
    part.write_text('new')


def test_a_right_file_replaces_an_old_one(tmp_path):
    path = tmp_path / 'a.pt2'
    path.write_text('old')
    difference = write_verified(
        path, TRACED, write, load_constant(1.00005), 1e-4
    )
    assert difference == pytest.approx(5e-5, rel=1e-2)
    assert path.read_text() == 'new'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('value', [1.001, float('nan')])
def test_a_wrong_file_is_not_kept(tmp_path, value):
    path = tmp_path / 'a.pt2'
    path.write_text('old')
    with pytest.raises(RuntimeError, match=r'a.pt2 was not kept: its scores'):
        write_verified(path, TRACED, write, load_constant(value), 1e-4)
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_a_wrong_batch_is_found(tmp_path):
    def load(path):
        return lambda inputs: torch.ones(len(inputs), 3) * (len(inputs) == 1)

    with pytest.raises(RuntimeError, match='was not kept'):
        write_verified(tmp_path / 'a.pt2', TRACED, write, load, 1e-4)
    assert not list(tmp_path.iterdir())


def test_a_bad_target_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'a.bin must end in .onnx'):
        require_target(tmp_path / 'a.bin', '.onnx', 1e-4)
    with pytest.raises(FileNotFoundError, match=f'no folder {tmp_path}/gone'):
        require_target(tmp_path / 'gone' / 'a.onnx', '.onnx', 1e-4)
    for tolerance in (0, -1, float('nan'), float('inf')):
        with pytest.raises(
            ValueError, match=rf'tolerance={tolerance} must be positive'
        ):
            require_target(tmp_path / 'a.onnx', '.onnx', tolerance)
