"""Who asks a server: Python, ``vptm predict``, the page of ``vptm demo``."""

import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from vptm_mm.demo import show_from
from vptm_mm.serving.client import Client, ServerError

from ..verbs.vptm import vptm
from .conftest import png
from .test_api import check

pytestmark = pytest.mark.needs('ray', 'httpx')


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    for seed in range(5):
        (folder / f'{seed}.png').write_bytes(png(seed))
    return folder


def test_python(url, files):
    client = Client(f'{url}/')
    assert client.tasks() == ['birds', 'dogs']
    found = client.put('cars', files['cars'].read_bytes())
    assert client.describe('cars') == found
    answers = client.predict(png(0), ['cars', 'dogs'], topk=2)
    assert [*answers] == ['cars', 'dogs']
    for name, predictions in answers.items():
        check(predictions, files, name, png(0), 2)
    client.delete('cars')
    with pytest.raises(ServerError, match=f"{url}: there is no task 'cars'"):
        client.describe('cars')


def test_predict_as_rows_of_this_machine(url, files, images, capsys):
    names = ('--task', 'birds', '--task', 'dogs', '--topk', '2')
    flags = ('--format', 'json')
    vptm('predict', images, *names, '--server', url, *flags)
    served = json.loads(capsys.readouterr().out)
    here = [f'--task={name}={files[name]}' for name in ('birds', 'dogs')]
    vptm('predict', images, *here, *names[-2:], *flags)
    expected = json.loads(capsys.readouterr().out)
    assert len(served['predictions']) == 10
    for row, other in zip(
        served['predictions'], expected['predictions'], strict=True
    ):
        for one, same in zip(row['top'], other['top'], strict=True):
            same['confidence'] = pytest.approx(same['confidence'], abs=1e-5)
            assert one == same
        assert row == other


def test_predict_goes_on_after_an_image(url, images, capsys):
    (images / '1.png').write_bytes(b'no image')
    out = images.parent / 'out.jsonl'
    words = (images, '--task', 'dogs', '--server', url, '--out', out)
    assert vptm('predict', *words) == 1
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    rows = [row for row in rows if 'image' in row]
    assert [Path(row['image']).stem for row in rows] == [*'01234']
    assert 'is not a readable image' in rows[1]['error']
    assert 'is not a readable image' in capsys.readouterr().err


def test_predict_by_a_task_that_is_not_there(url, images):
    with pytest.raises(ServerError, match="the nearest name is 'dogs'"):
        vptm('predict', images, '--task', 'dogz', '--server', url)


def test_the_page(url, images, files):
    show = show_from(Client(url))
    ((name, shares, pictures),) = show(['dogs'], str(images / '0.png'))
    assert (name, pictures) == ('dogs', [])
    predictions = [dict(label=k, score=v) for k, v in shares.items()]
    check(predictions, files, 'dogs', png(0))


def test_no_server():
    with pytest.raises(ServerError, match='does not answer as a server'):
        Client('http://127.0.0.1:9').tasks()


def test_a_busy_server_is_asked_again():
    """A proxy before it answers in words of its own."""
    answers = [
        (503, b'busy <b>now</b>'),
        (429, b'busy'),
        (200, b'{"tasks":[]}'),
    ]

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            status, content = answers.pop(0)
            self.send_response(status)
            self.send_header('Retry-After', '0')
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with HTTPServer(('127.0.0.1', 0), Busy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}'
        with pytest.raises(ServerError, match=r'<b>now</b> \(status 503\)'):
            Client(url, patience=-1).tasks()
        started = time.monotonic()
        assert Client(url).tasks() == []
        assert time.monotonic() - started < 5
        assert not answers
        server.shutdown()
