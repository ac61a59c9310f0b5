"""A file is there whole or as it was before, whatever keeps it from it."""

import errno
import os
import resource

import pytest

from vptm_mm.checkpoints import WriteError, explained, write_whole


@pytest.fixture
def file(tmp_path):
    """A file that is to be overwritten."""
    path = tmp_path / 'epoch_1.pth'
    path.write_bytes(b'old')
    return path


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_takes_the_place_of_the_old(file):
    write_whole(file, b'new')
    assert file.read_bytes() == b'new'
    assert names(file.parent) == ['epoch_1.pth']


def test_a_part_of_a_killed_process_is_overwritten(file):
    part = file.with_name('epoch_1.pth.part')
    part.write_bytes(b'longer than what comes')
    write_whole(file, b'new')
    assert file.read_bytes() == b'new'
    assert names(file.parent) == ['epoch_1.pth']


@pytest.mark.parametrize(
    ('number', 'reason'),
    [
        (errno.ENOSPC, 'the disk is full'),
        (errno.EDQUOT, 'the quota is used up'),
        (errno.EROFS, 'the file system is read-only'),
        (errno.EIO, 'the disk fails'),
        (errno.ESTALE, 'the file system is gone'),
    ],
)
def test_a_disk_that_fails_half_way(file, monkeypatch, number, reason):
    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, 'fsync', fail)
    text = f'cannot write {file}: {reason} .*whole: make room.*--resume'
    with pytest.raises(WriteError, match=text):
        write_whole(file, b'new')
    assert file.read_bytes() == b'old'
    assert names(file.parent) == ['epoch_1.pth']


def test_a_limit_that_the_system_sets(file):
    """No error is made up here: the second half does not fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(WriteError, match='larger than the limit'):
            write_whole(file, bytes(8192))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == b'old'
    assert names(file.parent) == ['epoch_1.pth']


def test_a_folder_that_has_vanished(file):
    file.unlink()
    file.parent.rmdir()
    text = f'cannot write {file}.part: its folder has vanished'
    with pytest.raises(WriteError, match=text):
        write_whole(file, b'new')
    assert not file.parent.exists()


def test_other_errors_of_the_system_pass(file):
    with pytest.raises(IsADirectoryError, match='Is a directory'):
        write_whole(file.parent, b'new')
    with (
        pytest.raises(FileNotFoundError, match='gone'),
        explained(file.parent),
    ):
        (file.parent / 'gone').read_bytes()


def test_the_file_that_failed_is_named(tmp_path):
    """A hook's file, not the work dir."""
    log = tmp_path / 'scalars.json'
    with (
        pytest.raises(WriteError, match=f'cannot write {log}: the disk'),
        explained(tmp_path),
    ):
        raise OSError(errno.ENOSPC, 'No space left', str(log))
