"""tools/demo.py: its flags, and the page in a browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from vptm_mm.demo import write_examples
from vptm_mm.run_verb import require_free
from vptm_mm.tasks import read_task, write_task
from vptm_mm_cli import parse

from ..conftest import ROOT
from .test_predict import TASK

TOOL = ROOT / 'tools' / 'demo.py'
CHROMIUM = shutil.which('chromium')
FLAGS = (
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-first-run',
)
SECONDS = 120  # until a busy machine has done anything


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--max-mb', '0'], '0 must be a number of at least 0.001 and'),
        (
            ['--port', '70000'],
            '70000 must be an integer of at least 1 and at most 65,535',
        ),
    ],
)
def test_flags_out_of_range(capsys, args, message):
    with pytest.raises(SystemExit, match='2'):
        parse(['demo', *args])
    assert message in capsys.readouterr().err


def test_this_machine_only_by_default():
    _, args = parse(['demo'])
    assert args.host == '127.0.0.1'
    assert (args.max_mb, args.max_pixels) == (10, 20_000_000)


def test_a_port_in_use():
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        message = f'cannot serve at --host=127.0.0.1 --port={port} '
        with pytest.raises(OSError, match=message):
            require_free('127.0.0.1', port)
    require_free('127.0.0.1', port)


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def page_address(tmp_path):
    """A page with the digits, and with letters for their names."""
    letters = vars(read_task(TASK)) | dict(classes=tuple('abcdefghij'))
    write_task(
        type(read_task(TASK))(**letters), tmp_path / 'letters.safetensors'
    )
    tasks = ('--task', str(TASK), '--task', 'letters.safetensors')
    with served_page(tmp_path, *tasks) as address:
        yield address


@contextmanager
def served_page(tmp_path, *words):
    """The address of a page that ``vptm demo`` serves."""
    if CHROMIUM is None:
        pytest.skip('needs a program named chromium on the PATH')
    port = free_port()
    command = [sys.executable, str(TOOL), '--port', str(port), *words]
    log = tmp_path / 'log.txt'
    with log.open('w') as file:
        server = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={
                **os.environ,
                'OMP_NUM_THREADS': '1',
                'TMPDIR': str(tmp_path),
            },
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + SECONDS
        while not answers(port):
            text = log.read_text()
            assert server.poll() is None, text
            assert time.monotonic() < end, text
            time.sleep(0.2)
        yield f'http://127.0.0.1:{port}'
        assert server.poll() is None, log.read_text()
    finally:
        server.terminate()
        assert server.wait() == 0
    assert 'Traceback' not in log.read_text()
    # Examples and uploads are gone.
    assert not list(tmp_path.glob('vptm_mm_demo_*'))


def answers(port) -> bool:
    with socket.socket() as client:
        return client.connect_ex(('127.0.0.1', port)) == 0


@pytest.mark.slow
@pytest.mark.needs('gradio', 'playwright')
def test_the_page_in_a_browser(page_address, tmp_path):
    """A prediction, a second task, bad files, and a good one again.

    Leaves ``demo.png``, the picture of the page in ``docs``.
    """
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * SECONDS)
    digits = write_examples(tmp_path)
    (tmp_path / 'text.png').write_text('no image')
    (tmp_path / 'large.png').write_bytes(b'0' * 10_010_000)
    asked = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS
        )
        page = browser.new_page(viewport=dict(width=1280, height=720))
        page.on('request', lambda request: asked.append(request.url))
        page.goto(page_address, timeout=1000 * SECONDS)
        message = page.locator('#message')
        top = page.get_by_test_id('label-output-value')
        expect(message).to_have_text('Drop an image on the left.')

        upload(page, digits[0])
        expect(top).to_have_text(['0'])
        expect(page.locator('.result dt')).to_have_count(5)
        page.locator('#examples button').nth(3).click()
        expect(top).to_have_text(['3'])
        page.get_by_label('letters').check()
        expect(top).to_have_text(['3', 'd'])
        expect(page.locator('.picture img')).to_have_count(4)
        page.mouse.move(0, 0)
        page.wait_for_timeout(500)  # until the bars have grown
        page.screenshot(path=tmp_path / 'demo.png')

        upload(page, tmp_path / 'text.png')
        expect(message).to_contain_text('This file is not a readable image.')
        expect(top).to_have_count(0)
        upload(page, tmp_path / 'large.png')
        expect(message).to_contain_text('has 10.01 MB, and 10 MB are allowed')
        upload(page, digits[5])
        expect(top).to_have_text(['5', 'f'])
        for task in (TASK.stem, 'letters'):
            page.get_by_label(task).uncheck()
        expect(message).to_have_text('Choose a task on the left.')
        browser.close()
    foreign = [u for u in asked if not u.startswith((page_address, 'data:'))]
    assert not foreign


def upload(page, path) -> None:
    """Take what is there away, then give another file."""
    clear = page.locator('#upload').get_by_label('Clear')
    if clear.count():
        clear.click()
    page.locator('#upload input[type=file]').set_input_files(path)
