"""What others do to the store, and callers to the server, meanwhile."""

import errno
import os
import shutil
import sys

import pytest

from vptm_mm.run_verb import is_for_users
from vptm_mm.serving.task_store import StoreError, TaskStore

from .test_api import error_of
from .test_served_tasks import predict

pytestmark = pytest.mark.needs('ray', 'httpx')


def test_a_link_to_a_file_that_changes(files, folder, tmp_path):
    """Its size stays, as that of a task that is trained again."""
    target = tmp_path / 'target'
    shutil.copy(files['cars'], target)
    (folder / 'cars.safetensors').symlink_to(target)
    (folder / 'gone.safetensors').symlink_to(tmp_path / 'gone')
    store = TaskStore(folder)
    before = store.tasks()
    os.utime(target, (1, 1))
    after = store.tasks()
    assert before.keys() == after.keys() == {'birds', 'cars', 'dogs'}
    assert before['cars'] != after['cars']
    assert before['birds'] == after['birds']


def test_a_folder_that_cannot_be_listed(folder, monkeypatch):
    """It is not an empty one."""
    store = TaskStore(folder)

    def fail(path):
        raise OSError(errno.ESTALE, 'Stale file handle')

    monkeypatch.setattr('fsspec.implementations.local.os.scandir', fail)
    with pytest.raises(StoreError, match='Stale file handle'):
        store.tasks()


@pytest.mark.parametrize('address', ['nonsense://x', 'gs://bucket/tasks'])
def test_addresses_of_nobody(address, monkeypatch):
    """Unknown, or of a package that is not installed."""
    monkeypatch.setitem(sys.modules, 'gcsfs', None)
    with pytest.raises(ValueError, match=f'open --tasks {address}: ') as found:
        TaskStore(address)
    assert is_for_users(found.value)


def test_a_task_that_has_just_gone(serve, files, folder):
    """The list of the store is older than its files."""
    client = serve()
    (folder / 'dogs.safetensors').unlink()
    text = error_of(predict(client, 'dogs'), 404)
    assert text == "there is no task 'dogs'."


def test_two_remove_the_same_task(folder):
    stores = TaskStore(folder), TaskStore(folder)
    tasks = stores[0].tasks
    listed = [tasks()]
    stores[0].tasks = lambda: listed.pop() if listed else tasks()
    stores[1].remove('dogs')
    stores[0].remove('dogs')
    assert [*tasks()] == ['birds']


def test_names_too_long_for_a_file_system(serve, files):
    """Of letters of several bytes."""
    content = files['birds'].read_bytes()
    put = serve().put(f'/v1/tasks/{"鳥" * 80}', content=content)
    assert 'of at most 200 bytes' in error_of(put, 422)
