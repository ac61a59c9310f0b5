"""``vptm demo --server`` in a browser."""

import pytest

from vptm_mm.serving.client import Client

from ..verbs.test_demo import CHROMIUM, FLAGS, SECONDS, served_page, upload
from .conftest import png
from .test_api import expected


@pytest.mark.slow
@pytest.mark.needs('gradio', 'playwright', 'ray', 'httpx')
def test_the_page_of_a_server(url, files, tmp_path):
    """Its answers, and what it refuses."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * SECONDS)
    image = tmp_path / 'image.png'
    image.write_bytes(png(3))
    tops = [expected(files, name, png(3))[0][0] for name in ('birds', 'dogs')]
    with (
        served_page(tmp_path, '--server', url) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS
        )
        page = browser.new_page()
        page.goto(address, timeout=1000 * SECONDS)
        top = page.get_by_test_id('label-output-value')
        upload(page, image)
        expect(top).to_have_text(tops[:1])
        page.get_by_label('dogs').check()
        expect(top).to_have_text(tops)
        Client(url).delete('dogs')
        upload(page, image)
        message = page.locator('#message')
        expect(message).to_contain_text("there is no task 'dogs'")
        browser.close()
