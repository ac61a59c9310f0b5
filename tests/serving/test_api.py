"""Each call of the interface, and each of its errors."""

import dataclasses
import hashlib
import io
import json
import re
import resource

import numpy as np
import pytest
from PIL import Image

from vptm_mm.tasks import VPTMTaskPool, read_task, write_task

from ..conftest import make_pretraining_model
from ..made_hostile import write_files_with_code
from ..made_images import KINDS, bomb
from ..made_tasks import make_classifier, task_of
from .conftest import png

pytestmark = pytest.mark.needs('ray', 'httpx')


def error_of(response, status) -> str:
    """The text of an error, which is one line of JSON."""
    assert response.status_code == status, response.text
    assert response.text.count('\n') == 1
    (text,) = json.loads(response.text).values()
    assert '\n' not in text
    assert 'Traceback' not in text
    return text


def expected(files, name, content, topk=5):
    """What the pool says of an image."""
    pool = VPTMTaskPool.from_files({name: files[name]})
    image = Image.open(io.BytesIO(content))
    scores = pool.predict([image], name)[0][name]['pred_scores']
    order = np.argsort(-scores)[:topk]
    return [f'class {i}' for i in order], scores[order]


def check(predictions, files, name, content, topk=5):
    labels, scores = expected(files, name, content, topk)
    assert [one['label'] for one in predictions] == labels
    found = [one['score'] for one in predictions]
    np.testing.assert_allclose(found, scores, atol=1e-6)


def test_an_image_as_body(serve, files):
    response = serve().post(
        '/v1/tasks/dogs/predict?topk=3',
        content=png(0),
        headers={'Content-Type': 'image/png'},
    )
    assert response.status_code == 200
    answer = response.json()
    assert list(answer) == ['task', 'predictions', 'model']
    assert answer['task'] == 'dogs'
    (predictions,) = answer['predictions']
    check(predictions, files, 'dogs', png(0), topk=3)
    content = files['dogs'].read_bytes()
    assert answer['model'] == dict(
        sha256=hashlib.sha256(content).hexdigest(),
        version=read_task(files['dogs']).version,
    )


@pytest.mark.parametrize(
    'kind', [None, 'application/x-www-form-urlencoded', 'image/jpeg']
)
def test_what_curl_says_of_a_body(serve, kind):
    headers = {'Content-Type': kind} if kind else {}
    response = serve().post(
        '/v1/tasks/dogs/predict', content=png(0), headers=headers
    )
    assert len(response.json()['predictions'][0]) == 5


def test_several_images_and_several_tasks(serve, files):
    client = serve()
    client.get('/v1/tasks/dogs')  # each task is tried when it is loaded
    runs = []
    client.tasks.pool.encoder.patch_embed.register_forward_hook(
        lambda *args: runs.append(len(args[1][0]))
    )
    images = [png(seed) for seed in range(3)]
    response = client.post(
        '/v1/predict?task=dogs&task=birds&topk=2',
        files=[('image', (f'{i}.png', one)) for i, one in enumerate(images)],
    )
    answers = response.json()['answers']
    assert [answer['task'] for answer in answers] == ['dogs', 'birds']
    for answer in answers:
        for content, found in zip(images, answer['predictions'], strict=True):
            check(found, files, answer['task'], content, 2)
    assert runs == [1, 1, 1]  # once for both tasks


def test_tasks_are_listed_and_described(serve, files):
    client = serve()
    assert client.get('/v1/tasks').json() == dict(tasks=['birds', 'dogs'])
    found = client.get('/v1/tasks/birds').json()
    task = read_task(files['birds'])
    assert found['classes'] == list(task.classes)
    assert found['num_bytes'] == task.num_bytes
    assert found['encoder']['frozen_sha256'] == task.frozen_sha256
    assert found['added'].startswith('20')


def test_a_task_comes_and_goes(serve, files, folder):
    client = serve()
    content = files['tokens'].read_bytes()
    missing = client.post('/v1/tasks/tokens/predict', content=png(0))
    assert missing.status_code == 404
    put = client.put('/v1/tasks/tokens', content=content)
    assert put.json()['model']['sha256'] == hashlib.sha256(content).hexdigest()
    assert (folder / 'tokens.safetensors').read_bytes() == content
    found = client.post('/v1/tasks/tokens/predict', content=png(0)).json()
    check(found['predictions'][0], files, 'tokens', png(0))
    # Another one under its name.
    client.put('/v1/tasks/tokens', content=files['cars'].read_bytes())
    found = client.post('/v1/tasks/tokens/predict', content=png(0)).json()
    check(found['predictions'][0], files, 'cars', png(0))
    removed = client.delete('/v1/tasks/tokens')
    assert removed.json() == dict(removed='tokens')
    assert not (folder / 'tokens.safetensors').exists()
    gone = client.post('/v1/tasks/tokens/predict', content=png(0))
    assert gone.status_code == 404
    assert len(client.tasks.pool.tasks) <= 2


def test_the_nearest_name(serve):
    client = serve()
    for call in (
        lambda: client.post('/v1/tasks/bird/predict', content=png(0)),
        lambda: client.post('/v1/predict?task=bird', content=png(0)),
        lambda: client.get('/v1/tasks/bird'),
        lambda: client.delete('/v1/tasks/bird'),
    ):
        text = error_of(call(), 404)
        assert text == "there is no task 'bird'; the nearest name is 'birds'."
    assert "'x'." in error_of(client.get('/v1/tasks/x'), 404)


def test_what_is_not_an_image(serve):
    client = serve()
    post = '/v1/tasks/dogs/predict'
    assert 'holds no image' in error_of(client.post(post), 400)
    text = error_of(client.post(post, content=b'no image'), 400)
    assert text.startswith('body: This file is not a readable image')
    files = [('a', ('a.png', png(0))), ('b', ('b.png', png(0)[:-300]))]
    text = error_of(client.post(post, files=files), 400)
    assert text.startswith('b.png: This file is not')
    text = error_of(
        client.post(
            post,
            content=b'--x\r\nContent-Disposition: form-data; name="image"\r\n'
            b'\r\na.png\r\n--x--\r\n',
            headers={'Content-Type': 'multipart/form-data; boundary=x'},
        ),
        400,
    )
    assert "the field 'image' is not a file; with curl, put @" in text
    for kind in ('multipart/form-data', 'multipart/form-data; boundary=x'):
        headers = {'Content-Type': kind}
        text = error_of(client.post(post, content=b'x', headers=headers), 400)
        assert 'is not a form of files' in text


def test_what_is_too_large(serve):
    client = serve()
    post = '/v1/tasks/dogs/predict'
    text = error_of(client.post(post, content=bytes(200_001)), 413)
    assert 'of 200,001 bytes or more is too large; 0.2 MB are' in text

    def parts():
        for _ in range(5):
            yield bytes(50_000)

    assert error_of(client.post(post, content=parts()), 413)
    large = [('image', ('a.png', bytes(150_000))) for _ in range(2)]
    assert error_of(client.post(post, files=large), 413)
    put = client.put('/v1/tasks/x', content=bytes(200_001))
    assert error_of(put, 413)
    for content in (bomb(101), bomb(60_000)):
        assert 'pixels' in error_of(client.post(post, content=content), 413)


@pytest.mark.parametrize('kind', ['application/json', 'text/html', 'video/x'])
def test_bodies_of_another_type(serve, kind):
    client = serve()
    headers = {'Content-Type': kind}
    for call in (
        lambda: client.post(
            '/v1/tasks/dogs/predict', content=png(0), headers=headers
        ),
        lambda: client.put('/v1/tasks/x', content=b'x', headers=headers),
    ):
        assert f"of type '{kind}' must be one of" in error_of(call(), 415)


def test_queries_that_are_wrong(serve):
    client = serve()
    for query in (
        '/v1/tasks/dogs/predict?topk=0',
        '/v1/tasks/dogs/predict?topk=many',
        '/v1/predict',
    ):
        text = error_of(client.post(query, content=png(0)), 422)
        assert text.startswith(('query=topk: ', 'query=task: '))
    for query in (
        '/v1/tasks/dogs/predict?top_k=1&topk=2',
        '/v1/tasks/dogs/predict?task=birds',
        '/v1/predict?task=dogs&k=1',
    ):
        text = error_of(client.post(query, content=png(0)), 422)
        assert text.startswith('query=')
        assert text.endswith(': Extra inputs are not permitted')
    found = client.post('/v1/tasks/dogs/predict?topk=99', content=png(0))
    assert len(found.json()['predictions'][0]) == 9
    assert 'see /docs' in error_of(client.get('/v2'), 404)
    assert 'see /docs' in error_of(client.post('/v1/tasks'), 405)


def test_images_of_every_kind(serve):
    """Answered, or refused in a line."""
    client = serve()
    answered = set()
    for kind, (_, make) in KINDS.items():
        response = client.post('/v1/tasks/dogs/predict', content=make())
        if response.status_code == 200:
            answered.add(kind)
            continue
        assert response.status_code in (400, 413)
        assert 'image' in error_of(response, response.status_code)
    assert {'JPEG', 'CMYK', '16 bit PNG', 'palette'} <= answered
    assert len(answered) < len(KINDS)


def test_tasks_of_another_encoder(serve, tmp_path, folder):
    client = serve()
    import torch

    other = make_pretraining_model()
    with torch.no_grad():
        other.backbone.cls_token.add_(1)
    checkpoint = tmp_path / 'other.pth'
    torch.save(dict(state_dict=other.state_dict()), checkpoint)
    task = task_of(make_classifier(checkpoint))
    before = sorted(folder.iterdir())
    for refused in (task, changed(task, dtype='bfloat16')):
        path = tmp_path / 'refused.safetensors'
        write_task(refused, path)
        put = client.put('/v1/tasks/other', content=path.read_bytes())
        assert re.match("task 'other': .*was tuned", error_of(put, 409))
        # By hand, too.
        (folder / 'by_hand.safetensors').write_bytes(path.read_bytes())
        post = client.post('/v1/tasks/by_hand/predict', content=png(0))
        assert re.match("task 'by_hand': .*was tuned", error_of(post, 409))
        (folder / 'by_hand.safetensors').unlink()
    assert sorted(folder.iterdir()) == before
    assert len(client.tasks.pool.tasks) == 1


def changed(task, **options):
    return dataclasses.replace(task, backbone={**task.backbone, **options})


def test_tasks_that_do_not_fit(serve, files, tmp_path, folder):
    client = serve()
    task = read_task(files['birds'])
    tensors = {
        name: tensor.clone() * np.nan for name, tensor in task.tensors.items()
    }
    step = dict(type='Resize', scale=(8, 8))
    pipeline = [task.pipeline[0], step, task.pipeline[-1]]
    for refused, text in (
        (changed(task, prompt_length=9), 'do not fit its config'),
        (changed(task, mask_grid=99), 'mask_grid=99'),
        (dataclasses.replace(task, tensors=tensors), 'are not finite'),
        (dataclasses.replace(task, pipeline=pipeline), 'of shape (3, 8, 8)'),
        (dataclasses.replace(task, pipeline=[]), 'inputs'),
    ):
        path = tmp_path / 'refused.safetensors'
        write_task(refused, path)
        put = client.put('/v1/tasks/x', content=path.read_bytes())
        assert text in error_of(put, 422)
    assert not (folder / 'x.safetensors').exists()
    assert len(client.tasks.pool.tasks) == 1


def test_tasks_that_ask_for_much(serve, files, tmp_path):
    """Refused before gigabytes are written."""
    client = serve()
    task = read_task(files['birds'])
    step = dict(type='Resize', scale=(30_000, 30_000))
    pipeline = [task.pipeline[0], step, *task.pipeline[1:]]
    head = {**task.head, 'in_channels': 10**9}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for refused, text in (
        (changed(task, prompt_length=10**7), 'prompt_length=10000000 is'),
        (dataclasses.replace(task, head=head), "task 'x': "),
        (dataclasses.replace(task, pipeline=pipeline), 'scale=30000 is above'),
    ):
        path = tmp_path / 'refused.safetensors'
        write_task(refused, path)
        put = client.put('/v1/tasks/x', content=path.read_bytes())
        assert text in error_of(put, 422)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak - before < 300_000  # kB


def test_hostile_task_files(serve, files, tmp_path, folder):
    client = serve()
    hostile = tmp_path / 'hostile'
    hostile.mkdir()
    contents = [
        path.read_bytes()
        for path in write_files_with_code(hostile, hostile / 'run').values()
    ]
    whole = files['birds'].read_bytes()
    for content in (*contents, b'', b'{}', whole[:-1], whole[:-8] + bytes(8)):
        text = error_of(client.put('/v1/tasks/x', content=content), 422)
        assert "'x'" in text
        assert '/' not in text.partition('(')[0]  # no path of the server
    assert not (hostile / 'run').exists()
    assert not (folder / 'x.safetensors').exists()


@pytest.mark.parametrize(
    'name', ['.hidden', 'x.task', 'x.task.task', 'a b', 'x' * 101, '-x']
)
def test_names_that_are_no_file(serve, files, name, folder):
    before = sorted(folder.iterdir())
    put = serve().put(f'/v1/tasks/{name}', content=files['birds'].read_bytes())
    assert 'must be of at most 100 letters' in error_of(put, 422)
    assert sorted(folder.iterdir()) == before


def test_paths_do_not_leave_the_store(serve, files, tmp_path):
    client = serve()
    for name in ('..%2Fx', '%2Ftmp%2Fx', '..'):
        put = client.put(
            f'/v1/tasks/{name}', content=files['birds'].read_bytes()
        )
        assert put.status_code in (404, 405, 422)
    assert not (tmp_path / 'x.safetensors').exists()


def test_a_token(serve, files):
    from vptm_mm.serving.api import Access

    content = files['cars'].read_bytes()
    for for_all in (False, True):
        client = serve(access=Access('sécret', for_all))
        for token in (None, 'secret', ''):
            headers = {'Authorization': f'Bearer {token}'} if token else {}
            refused = client.put(
                '/v1/tasks/cars', content=content, headers=headers
            )
            assert 'needs the token' in error_of(refused, 401)
            assert refused.headers['WWW-Authenticate'] == 'Bearer'
            assert error_of(client.delete('/v1/tasks/dogs'), 401)
            read = client.get('/v1/tasks', headers=headers)
            post = client.post(
                '/v1/tasks/dogs/predict', content=png(0), headers=headers
            )
            for response in (read, post):
                assert response.status_code == (401 if for_all else 200)
        headers = {'Authorization': 'Bearer sécret'.encode()}
        put = client.put('/v1/tasks/cars', content=content, headers=headers)
        assert put.status_code == 200
        assert client.get('/healthz').status_code == 200


def test_metrics_and_health(serve):
    client = serve()
    assert client.get('/healthz').json() == dict(status='ready', tasks=2)
    client.post('/v1/predict?task=dogs&task=birds', content=png(0))
    client.get('/v2')
    text = client.get('/metrics').text
    for line in (
        'vptm_requests_total{status="404"}',
        'vptm_requests_total{status="200"}',
        'vptm_batch_images_count',
        'vptm_batch_tasks_bucket{le="2.0"}',
        'vptm_requests_waiting 0.0',
        'vptm_stage_seconds_count{stage="model"}',
    ):
        assert line in text


def test_a_failure_is_a_line(serve, monkeypatch):
    client = serve()
    monkeypatch.setattr(client.tasks.pool, 'classify', lambda images: 1 / 0)
    post = client.post('/v1/tasks/birds/predict', content=png(0))
    text = error_of(post, 500)
    assert text == 'the server failed (ZeroDivisionError: division by zero)'
