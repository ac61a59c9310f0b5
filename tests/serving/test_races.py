"""What others do to the store, and callers to the server, meanwhile."""

import asyncio
import dataclasses
import errno
import os
import shutil
import sys
import threading

import pytest
import torch

from vptm_mm.run_verb import is_for_users
from vptm_mm.serving.task_store import StoreError, TaskStore
from vptm_mm.tasks import read_task, write_task

from ..conftest import make_pretraining_model
from ..made_tasks import make_classifier, task_of
from .conftest import png
from .test_api import error_of
from .test_served_tasks import predict, wait_for

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


@pytest.fixture
def other(tmp_path):
    """A task of another encoder, whose weights are where it says."""
    model = make_pretraining_model()
    with torch.no_grad():
        model.backbone.cls_token.add_(1)
    checkpoint = tmp_path / 'other.pth'
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    path = tmp_path / 'other.safetensors'
    write_task(task_of(make_classifier(checkpoint)), path)
    return path.read_bytes()


@pytest.fixture
def empty(tmp_path):
    store = tmp_path / 'empty'
    store.mkdir()
    return store


def test_another_replica_took_the_first_task(
    serve, files, empty, other, monkeypatch
):
    """All have the encoder of the first one, and are ready."""
    client = serve(empty)
    shutil.copy(files['birds'], empty)
    put = client.put('/v1/tasks/other', content=other)
    assert "task 'other': the task was tuned on" in error_of(put, 409)
    assert predict(client, 'birds').status_code == 200
    monkeypatch.setattr('vptm_mm.serving.served_tasks.POLL_SECONDS', 0.05)
    (empty / 'birds.safetensors').unlink()
    client = serve(empty)
    shutil.copy(files['birds'], empty)
    wait_for(lambda: client.get('/healthz').json().get('tasks'))
    assert client.get('/healthz').status_code == 200


def test_an_encoder_without_tasks_gives_way(serve, files, empty, other):
    client = serve(empty)
    for name, content in (('a', files['birds'].read_bytes()), ('b', other)):
        assert client.put(f'/v1/tasks/{name}', content=content).is_success
        assert predict(client, name).status_code == 200
        assert client.delete(f'/v1/tasks/{name}').is_success


def test_a_store_that_was_never_read(serve, empty, monkeypatch):
    def fail(self):
        raise StoreError('the store fails.')

    monkeypatch.setattr(TaskStore, 'tasks', fail)
    text = error_of(serve(empty).get('/healthz'), 503)
    assert text == 'no task can be served: the store fails.'


@pytest.mark.parametrize('is_put', [False, True])
def test_a_caller_who_goes_leaves_nothing(serve, files, folder, is_put):
    """While a task is loaded, and while one is tried."""
    shutil.copy(files['cars'], folder)
    client = serve()
    tasks = client.tasks
    begun, go_on = threading.Event(), threading.Event()
    add = tasks._add

    def slow_add(*args):
        begun.set()
        assert go_on.wait(10)
        return add(*args)

    tasks._add = slow_add

    async def ask():
        if is_put:
            await tasks.put('new', files['tokens'].read_bytes())
        async with tasks.held(['cars']):
            pass

    async def go():
        asking = asyncio.create_task(ask())
        while not begun.is_set():
            await asyncio.sleep(0.01)
        asking.cancel()
        go_on.set()
        await asyncio.wait([asking])
        assert asking.cancelled()

    client.portal.call(go)
    tasks._model.submit(int).result()  # behind what was begun
    assert len(tasks.pool.tasks) == len(tasks.loaded) == 1
    assert predict(client, 'cars').status_code == 200


def test_few_images_are_decoded_at_a_time(serve, monkeypatch):
    """Pixels are far larger than the files of a request."""
    from vptm_mm.serving import predictor, served_tasks

    client = serve()
    decoded, most = [], []
    read, prepare = predictor.read_upload, served_tasks._prepare

    def counting_read(*args):
        decoded.append(read(*args))
        most.append(len(decoded))
        return decoded[-1]

    def counting_prepare(pool, image, keys):
        decoded.pop()
        return prepare(pool, image, keys)

    monkeypatch.setattr(predictor, 'read_upload', counting_read)
    monkeypatch.setattr(served_tasks, '_prepare', counting_prepare)
    images = [('image', (f'{i}.png', png(i))) for i in range(12)]
    post = client.post('/v1/tasks/birds/predict', files=images)
    assert len(post.json()['predictions']) == 12
    assert max(most) <= 2


def test_many_answers_are_parts_of_a_batch(serve, monkeypatch):
    """An image and a task is a sequence of its own in memory."""
    from vptm_mm.serving import served_tasks

    monkeypatch.setattr(served_tasks, 'MAX_ANSWERS', 5)
    client = serve()
    tasks = client.tasks

    async def classify():
        async with tasks.held(['birds', 'dogs']) as held:
            image = torch.zeros(20, 20, 3, dtype=torch.uint8).numpy()
            prepared = await tasks.prepare(lambda: image, held)
            sizes = []
            classify = tasks.pool.classify

            def noting(images):
                sizes.append(len(images))
                return classify(images)

            monkeypatch.setattr(tasks.pool, 'classify', noting)
            return sizes, await tasks.classify([prepared] * 5)

    sizes, results = client.portal.call(classify)
    assert sizes == [2, 2, 1]
    assert len(results) == 5


def test_a_store_that_hangs(serve, files, folder):
    """What is in memory is served."""
    shutil.copy(files['cars'], folder)
    client = serve()
    predict(client, 'birds')
    go_on = threading.Event()
    hanging = []

    def hang(*args):
        hanging.append(args)
        go_on.wait(10)
        raise StoreError('gone')

    client.tasks.store.read = client.tasks.store.tasks = hang
    asking = [
        threading.Thread(target=predict, args=(client, name))
        for name in ('cars', 'dogs', 'unknown')
    ]
    for thread in asking:
        thread.start()
    try:
        wait_for(lambda: len(hanging) == 2)
        assert predict(client, 'birds').status_code == 200
        assert len(hanging) == 2
    finally:
        go_on.set()
        for thread in asking:
            thread.join()


def test_classes_that_are_not_text(serve, files, folder, tmp_path):
    """As folders are named on other systems."""
    task = read_task(files['birds'])
    classes = ('caf\udce9', *task.classes[1:])
    path = folder / 'birds.safetensors'
    write_task(dataclasses.replace(task, classes=classes), path)
    client = serve()
    (found,) = predict(client, 'birds').json()['predictions']
    assert {one['label'] for one in found} == {*classes}
    assert client.get('/v1/tasks/birds').json()['classes'] == [*classes]


def test_metrics_count_failures_and_know_the_token(serve, monkeypatch):
    from vptm_mm.serving.api import Access

    client = serve(access=Access('secret', for_all=True))
    assert error_of(client.get('/metrics'), 401)
    headers = {'Authorization': 'Bearer secret'}
    monkeypatch.setattr(client.tasks.pool, 'classify', lambda images: 1 / 0)
    client.post('/v1/tasks/birds/predict', content=png(0), headers=headers)
    text = client.get('/metrics', headers=headers).text
    assert 'vptm_requests_total{status="500"}' in text


def test_a_later_task_does_not_take_over(serve, files, folder, other):
    """When a replica is started again, and names come in another order."""
    clients = [serve()]
    (folder / 'a.safetensors').write_bytes(other)
    clients.append(serve())
    for client in clients:
        refused = error_of(predict(client, 'a'), 409)
        assert "task 'a': the task was tuned on" in refused
        assert predict(client, 'birds').status_code == 200


def test_looking_goes_on_after_any_failure(serve, files, folder, monkeypatch):
    """As of a temporary folder that is full."""
    from vptm_mm.serving import served_tasks

    monkeypatch.setattr(served_tasks, 'POLL_SECONDS', 0.05)
    failures = [OSError(errno.ENOSPC, 'No space left on device')] * 3
    parse = served_tasks.ServedTasks._parse

    def failing(*args):
        if failures:
            raise failures.pop()
        return parse(*args)

    monkeypatch.setattr(served_tasks.ServedTasks, '_parse', failing)
    client = serve()
    text = error_of(client.get('/healthz'), 503)
    assert 'OSError: [Errno 28] No space left on device' in text
    wait_for(lambda: client.get('/healthz').status_code == 200)


def test_shares_of_gpus(monkeypatch):
    """All replicas find a place."""
    from argparse import Namespace

    from vptm_mm.verbs import serve as verb

    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    for replicas, gpus in ((1, 1), (2, 1), (3, 0.5), (4, 0.5), (5, 1 / 3)):
        args = Namespace(write_config=None, on='cuda', replicas=replicas)
        assert verb._shares(args)['gpus'] == gpus
