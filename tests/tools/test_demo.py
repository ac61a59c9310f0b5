"""tools/demo.py: its limits, its messages, and the page in a browser."""

import importlib.util
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from vptm_mm.checkpoints import read_task, write_task
from vptm_mm.datasets import SklearnDigits
from vptm_mm.models import VPTMTaskPool
from vptm_mm.models.pool import read_image

from ..conftest import ROOT
from .test_predict import TASK
from .test_tools import fails

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


@pytest.fixture(scope='module')
def demo():
    spec = importlib.util.spec_from_file_location('demo', TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules['demo'] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules['demo']


@pytest.fixture
def limits(demo):
    return demo.Limits(max_bytes=20_000, max_pixels=5_000)


def header_of_png(width, height) -> bytes:
    """A PNG without pixels, as small as an upload that fills the memory."""
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    parts = [b'\x89PNG\r\n\x1a\n']
    for content in (b'IHDR' + header, b'IDAT'):
        parts.append(struct.pack('>I', len(content) - 4) + content)
        parts.append(struct.pack('>I', zlib.crc32(content)))
    return b''.join(parts)


def whole_png(path, size=(40, 30)):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'no image', 'is no readable image'),
        (b'', 'is no readable image'),
        (b'0' * 20_001, '0.02 MB, and 0.02 MB are allowed'),
        (header_of_png(100, 51), '100 x 51 = 5,100 pixels, and 5,000 are'),
        # Larger than what PIL itself refuses.
        (header_of_png(10**6, 10**6), '1,000,000,000,000 pixels, and 5,000'),
        (header_of_png(64, 3), '64 x 3 pixels is too thin'),
        (header_of_png(50, 50), 'is no readable image'),
    ],
)
def test_uploads_that_are_refused(demo, limits, tmp_path, content, message):
    path = tmp_path / 'upload.png'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        demo.read_upload(path, limits)
    assert str(tmp_path) not in str(caught.value)


def test_a_file_cut_short_and_another_format(demo, limits, tmp_path):
    path = whole_png(tmp_path / 'cut.png')
    path.write_bytes(path.read_bytes()[:-500])
    animation = tmp_path / 'animation.gif'
    Image.new('L', (10, 10)).save(animation)
    for refused in (path, animation):
        with pytest.raises(ValueError, match='Give a whole file in one of'):
            demo.read_upload(refused, limits)


def test_an_upload_is_read_as_the_pool_reads_it(demo, limits, tmp_path):
    path = whole_png(tmp_path / 'good.png')
    np.testing.assert_array_equal(
        demo.read_upload(path, limits), read_image(path)
    )


def test_the_default_task_and_its_examples(demo, tmp_path):
    (default,) = demo.find_tasks(None)
    assert default.samefile(TASK)
    assert [str(p) for p in demo.find_tasks(['a/b', 'c'])] == ['a/b', 'c']
    examples = demo.write_examples(tmp_path)
    dataset = SklearnDigits(split='test')
    images = [dataset.get_data_info(i)['img'] for i in range(len(dataset))]
    labels = dataset.get_gt_labels()
    assert len(examples) == 10
    for digit, path in enumerate(examples):
        pixels = np.asarray(Image.open(path))
        same = [np.array_equal(pixels, image) for image in images]
        assert digit in labels[same]


def test_pictures(demo, tmp_path):
    pool = VPTMTaskPool.from_files([TASK])
    image = read_image(demo.write_examples(tmp_path)[3])
    pictures = demo.draw_pictures(pool, TASK.stem, image)
    (seen, _), (_, caption) = pictures
    assert [picture.size for picture, _ in pictures] == [(320, 320)] * 2
    # The task enlarges 8x8 to 32x32 pixels; the page, to 320x320.
    small = seen.resize((32, 32), Image.Resampling.BOX)
    small = np.asarray(small.resize((8, 8), Image.Resampling.BOX)).astype(int)
    assert np.corrcoef(small.ravel(), image.ravel())[0, 1] > 0.95
    assert caption.startswith('Where [MASK] looks, 0 to ')


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--max-mb', '0'], '--max-mb=0.0 must be > 0'),
        (['--max-mb', 'nan'], '--max-mb=nan must be > 0'),
        (['--max-pixels', '-1'], '--max-pixels=-1 must be > 0'),
        (['--port', '70000'], '--port=70000 must be in 1..65535'),
    ],
)
def test_flags_out_of_range(demo, monkeypatch, capsys, args, message):
    monkeypatch.setattr(sys, 'argv', ['demo.py', *args])
    with pytest.raises(SystemExit):
        demo.parse_args()
    assert message in capsys.readouterr().err


def test_this_machine_only_by_default(demo, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['demo.py'])
    args = demo.parse_args()
    assert args.host == '127.0.0.1'
    assert (args.max_mb, args.max_pixels) == (10, 20_000_000)


def test_a_port_in_use(demo):
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        message = f'cannot serve at --host=127.0.0.1 --port={port} '
        with pytest.raises(OSError, match=message):
            demo.require_free('127.0.0.1', port)
    demo.require_free('127.0.0.1', port)


def test_gradio_is_missing(demo, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    with pytest.raises(ImportError, match=r"install 'vptm_mm\[demo\]'"):
        demo.require_gradio()


def test_a_missing_task_is_named(tmp_path):
    pytest.importorskip('gradio', reason="needs pip install '.[demo]'")
    error = fails(
        'demo.py',
        *('--task', 'gone.safetensors', '--port', free_port()),
        cwd=tmp_path,
    )
    assert 'FileNotFoundError: no task file at' in error


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def page_address(tmp_path):
    """A page with the digits, and with letters for their names."""
    pytest.importorskip('gradio', reason="needs pip install '.[demo]'")
    pytest.importorskip('playwright', reason="needs pip install '.[dev]'")
    if CHROMIUM is None:
        pytest.skip('needs a program named chromium on the PATH')
    letters = vars(read_task(TASK)) | dict(classes=tuple('abcdefghij'))
    write_task(
        type(read_task(TASK))(**letters), tmp_path / 'letters.safetensors'
    )
    port = free_port()
    command = [sys.executable, str(TOOL), '--port', str(port)]
    command += ['--task', str(TASK), '--task', 'letters.safetensors']
    log = tmp_path / 'log.txt'
    with log.open('w') as file:
        server = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
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
        assert 'Traceback' not in log.read_text()
    finally:
        server.terminate()
        server.wait()


def answers(port) -> bool:
    with socket.socket() as client:
        return client.connect_ex(('127.0.0.1', port)) == 0


@pytest.mark.slow
def test_the_page_in_a_browser(demo, page_address, tmp_path):
    """A prediction, a second task, bad files, and a good one again.

    Leaves ``demo.png``, the picture of the page in ``docs``.
    """
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * SECONDS)
    digits = demo.write_examples(tmp_path)
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
        expect(message).to_contain_text('This file is no readable image.')
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
