"""Tasks are loaded and forgotten as the store and the callers want it."""

import asyncio
import dataclasses
import shutil
import time

import numpy as np
import pytest
import torch

from vptm_mm.tasks import read_task

from .conftest import count_loads, png
from .test_api import check, error_of

pytestmark = pytest.mark.needs('ray', 'httpx')


@pytest.fixture
def quick(monkeypatch):
    from vptm_mm.serving import served_tasks

    monkeypatch.setattr(served_tasks, 'POLL_SECONDS', 0.05)


def wait_for(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def predict(client, name, seed=0):
    return client.post(f'/v1/tasks/{name}/predict', content=png(seed))


def grey():
    return np.full((20, 20, 3), 90, np.uint8)


def answer(client, name):
    return predict(client, name).json()['predictions']


def test_the_least_recently_used_are_forgotten(serve, files, folder):
    for name in files:
        shutil.copy(files[name], folder)
    client = serve(max_tasks=2)
    loads = count_loads(client.tasks)
    for name in ('birds', 'cars', 'birds', 'dogs', 'birds', 'cars', 'birds'):
        (found,) = predict(client, name).json()['predictions']
        check(found, files, name, png(0))
        assert len(client.tasks.loaded) <= 2
    assert loads == dict(cars=2, dogs=1)
    answers = client.post(
        '/v1/predict?task=birds&task=cars&task=dogs&task=tokens',
        content=png(1),
    ).json()['answers']  # more than are kept
    for answer in answers:
        check(answer['predictions'][0], files, answer['task'], png(1))
    assert len(client.tasks.loaded) == 2
    wait_for(lambda: len(client.tasks.pool.tasks) == 2)


def test_by_hand_in_the_folder(serve, files, folder, quick):
    client = serve()
    shutil.copy(files['cars'], folder / 'new.task.safetensors')
    check(
        predict(client, 'new').json()['predictions'][0], files, 'cars', png(0)
    )
    (folder / 'notes.txt').write_text('no task')
    (folder / 'deep').mkdir()
    shutil.copy(files['cars'], folder / 'deep')
    names = ['birds', 'dogs', 'new']
    assert client.get('/v1/tasks').json()['tasks'] == names
    # Replaced, and seen without being asked.
    part = folder / 'part'
    shutil.copy(files['dogs'], part)
    part.replace(folder / 'new.task.safetensors')
    wait_for(lambda: len(answer(client, 'new')[0]) == 5)
    check(
        predict(client, 'new').json()['predictions'][0], files, 'dogs', png(0)
    )
    (folder / 'new.task.safetensors').unlink()
    wait_for(lambda: predict(client, 'new').status_code == 404)
    # A copy that is not whole yet.
    whole = files['cars'].read_bytes()
    (folder / 'cars.safetensors').write_bytes(whole[:1000])
    assert "'cars' (1000 bytes" in error_of(predict(client, 'cars'), 422)
    (folder / 'cars.safetensors').write_bytes(whole)
    wait_for(lambda: predict(client, 'cars').status_code == 200)
    # All files of a name.
    shutil.copy(files['cars'], folder / 'cars.task.safetensors')
    assert client.delete('/v1/tasks/cars').status_code == 200
    assert not [*folder.glob('cars*')]


def test_a_store_that_disappears_and_comes_back(
    serve, files, folder, quick, capfd
):
    client = serve()
    predict(client, 'birds')
    folder.rename(folder.with_name('away'))
    wait_for(lambda: client.tasks.problem)
    check(
        predict(client, 'birds').json()['predictions'][0],
        files,
        'birds',
        png(0),
    )
    for response in (
        predict(client, 'cars'),
        client.get('/v1/tasks'),
        client.put('/v1/tasks/x', content=files['cars'].read_bytes()),
    ):
        text = error_of(response, 503)
        assert f"No such file or directory: '{folder}'" in text
        assert response.headers['Retry-After'] == '5'
    folder.with_name('away').rename(folder)
    assert predict(client, 'dogs').status_code == 200
    wait_for(lambda: not client.tasks.problem)
    assert capfd.readouterr().err.count('the store of tasks') == 1


def test_a_store_that_starts_empty(serve, files, tmp_path):
    store = tmp_path / 'empty'
    store.mkdir()
    client = serve(store)
    assert client.get('/healthz').json() == dict(status='ready', tasks=0)
    assert "no task 'birds'." in error_of(predict(client, 'birds'), 404)
    assert client.delete('/v1/tasks/birds').status_code == 404
    client.put('/v1/tasks/birds', content=files['birds'].read_bytes())
    # On the encoder of the first one, with its visual tokens.
    client.put('/v1/tasks/tokens', content=files['tokens'].read_bytes())
    check(*answer(client, 'tokens'), files, 'tokens', png(0))


def test_what_cannot_be_loaded_is_said(serve, files, tmp_path, capfd):
    store = tmp_path / 'broken'
    store.mkdir()
    (store / 'a.safetensors').write_bytes(b'broken')
    client = serve(store)
    text = error_of(client.get('/healthz'), 503)
    assert "no task can be served: task 'a' (6 bytes" in text
    assert "task 'a' (6 bytes" in capfd.readouterr().err
    shutil.copy(files['birds'], store)
    assert predict(client, 'birds').status_code == 200
    assert client.get('/healthz').status_code == 200


def test_weights_that_are_gone(serve, tmp_path, folder):
    client = serve(weights=str(tmp_path / 'gone.pth'))
    text = error_of(predict(client, 'birds'), 422)
    assert "task 'birds': no pre-trained weights at" in text


def test_any_address_of_fsspec(serve, files):
    import fsspec

    memory = fsspec.filesystem('memory')
    memory.pipe_file('/tasks/birds.safetensors', files['birds'].read_bytes())
    client = serve('memory://tasks')
    assert client.get('/v1/tasks').json() == dict(tasks=['birds'])
    content = files['cars'].read_bytes()
    assert client.put('/v1/tasks/cars', content=content).status_code == 200
    assert memory.cat('/tasks/cars.safetensors') == content
    check(
        predict(client, 'cars').json()['predictions'][0], files, 'cars', png(0)
    )
    assert client.get('/v1/tasks/cars').json()['added'].startswith('20')
    for name in ('birds', 'cars'):
        assert client.delete(f'/v1/tasks/{name}').status_code == 200
    # An object store has no folder then.
    assert client.get('/v1/tasks').json() == dict(tasks=[])


def test_addresses_that_are_none(tmp_path):
    from vptm_mm.serving.task_store import TaskStore

    with pytest.raises(FileNotFoundError, match='no folder of tasks at /'):
        TaskStore(tmp_path / 'gone')
    with pytest.raises(ValueError, match='nonsense'):
        TaskStore('nonsense://x')


def test_another_type_of_numbers(serve, files):
    client = serve(dtype='bfloat16')
    assert predict(client, 'birds').status_code == 200
    assert client.tasks.pool.dtype == 'bfloat16'
    assert read_task(files['birds']).backbone.get('dtype') is None


def test_an_image_that_fails_is_alone_with_it(serve, files):
    """In a batch of others, whose answers are right."""
    client = serve()
    tasks = client.tasks

    async def mixed():
        async with tasks.held(['birds', 'dogs']) as (birds, dogs):
            good = [await tasks.prepare(grey, [one]) for one in (birds, dogs)]
            bad = dataclasses.replace(good[0], inputs=[torch.zeros(1)])
            return await tasks.classify([good[0], bad, good[1]])

    first, failed, last = client.portal.call(mixed)
    assert isinstance(failed, ValueError)
    assert len(first) == len(last) == 1


def test_a_task_goes_while_it_is_asked(serve, files, folder):
    client = serve()
    tasks = client.tasks

    async def removed_meanwhile():
        async with tasks.held(['dogs']) as (dogs,):
            prepared = await tasks.prepare(grey, [dogs])
            await tasks.remove('dogs')
            (result,) = await tasks.classify([prepared])
            assert dogs.key in tasks.pool.tasks
        await asyncio.sleep(0.1)
        assert dogs.key not in tasks.pool.tasks
        return result[dogs.key]['pred_scores']

    assert len(client.portal.call(removed_meanwhile)) == 9
    assert predict(client, 'dogs').status_code == 404
