"""A file is there whole or as it was before, whatever keeps it from it."""

import errno
import os
import re
import resource
from pathlib import Path

import pytest

from vptm_mm.weights import (
    WriteError,
    explained,
    open_whole,
    remove_parts,
    write_whole,
)
from vptm_mm.weights.atomic_write import OF_DISK


@pytest.fixture
def file(tmp_path):
    """A file that is to be overwritten."""
    path = tmp_path / 'epoch_1.pth'
    path.write_bytes(b'old')
    return path


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_two_writers_of_one_file(file):
    """The last one wins, and neither ends up in the other's file."""
    with open_whole(file) as one, open_whole(file) as other:
        one.write(b'one')
        other.write(b'the other')
        parts = [name for name in names(file.parent) if name != file.name]
        assert len(parts) == 2
        for part in parts:
            assert re.fullmatch(r'epoch_1\.pth\.[0-9a-f]{8}\.part', part)
        assert file.read_bytes() == b'old'
    assert file.read_bytes() == b'one'
    assert names(file.parent) == ['epoch_1.pth']


def test_parts_of_killed_writers_do_not_pile_up(file):
    """Those that nobody has written to for an hour."""
    kept = ['a.0123abcd.part', 'notes.part']
    for name in ('b.pth.0123abcd.part', *kept):
        path = file.with_name(name)
        path.write_bytes(b'a part')
        if name != kept[0]:
            os.utime(path, (0, 0))
    write_whole(file, b'new')
    assert sorted(names(file.parent)) == [kept[0], 'epoch_1.pth', kept[1]]
    remove_parts(file.parent)
    assert sorted(names(file.parent)) == ['epoch_1.pth', kept[1]]


def test_links_and_devices_stay_what_they_are(file):
    link = file.with_name('latest.pth')
    link.symlink_to(file.name)
    write_whole(link, 'n\xfc')
    assert link.is_symlink()
    assert file.read_bytes() == b'n\xc3\xbc'
    write_whole(os.devnull, b'new')
    assert not os.path.isfile(os.devnull)
    assert not list(Path(os.devnull).parent.glob('null.*.part'))


def test_others_may_read_it(file):
    """As they may read what ``open`` makes."""
    file.with_name('b').touch()
    write_whole(file, b'new')
    assert file.stat().st_mode == file.with_name('b').stat().st_mode


@pytest.mark.parametrize('number', sorted(OF_DISK))
def test_a_disk_that_fails_half_way(file, monkeypatch, number):
    reason = os.strerror(number)

    def fail(descriptor):
        raise OSError(number, reason)

    monkeypatch.setattr(os, 'fsync', fail)
    text = rf'cannot write {file}: {reason}\. .*whole: make room.*--resume'
    with pytest.raises(WriteError, match=text):
        write_whole(file, b'new')
    assert file.read_bytes() == b'old'
    assert names(file.parent) == ['epoch_1.pth']


def test_a_limit_that_the_system_sets(file):
    """No error is made up here: the second half does not fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(WriteError, match='File too large'):
            write_whole(file, bytes(8192))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == b'old'
    assert names(file.parent) == ['epoch_1.pth']


def test_a_folder_that_has_vanished(file):
    file.unlink()
    file.parent.rmdir()
    text = rf'cannot write {file}\.\w+\.part: No such file or directory'
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
        pytest.raises(WriteError, match=f'cannot write {log}: No space'),
        explained(tmp_path),
    ):
        raise OSError(errno.ENOSPC, 'No space left', str(log))
