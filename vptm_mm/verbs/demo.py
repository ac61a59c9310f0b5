"""Serve a page that classifies an image by one or several task files.

vptm demo --task birds.safetensors --task dogs.safetensors
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .. import demo
from ..run_verb import require_free
from ..tasks import VPTMTaskPool, name_and_path
from ..upload import MB, Limits
from ..weights.checkpoint_file import PACKAGED, fetch
from .predict_by_server import client_of

DIGITS = PACKAGED + 'vptm_beitv2-tiny_digits.safetensors'


def run(args: argparse.Namespace) -> None:
    """Run ``vptm demo``."""
    # Read when gradio is imported: it does not call home.
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    import gradio  # noqa: F401 (before weights are read)

    require_free(args.host, args.port)
    limits = Limits(int(args.max_mb * MB), args.max_pixels)
    # SIGTERM ends the server as Ctrl+C does: the folder goes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with TemporaryDirectory(prefix='vptm_mm_demo_') as folder:
        # Apart from the examples: old uploads are deleted.
        os.environ['GRADIO_TEMP_DIR'] = str(Path(folder, 'uploads'))
        if args.server:
            client = client_of(args)
            names, examples = client.tasks(), list[str]()
            show = demo.show_from(client)
        else:
            names, show, examples = open_pool(args, Path(folder))
        serve(demo.build_page(names, show, limits, examples), args, limits)


def open_pool(
    args: argparse.Namespace, folder: Path
) -> tuple[list[str], demo.Show, list[str]]:
    """Return names of tasks, what classifies, and examples of digits."""
    files = args.task or [DIGITS]
    pool = VPTMTaskPool.from_files(files, args.weights).to(args.device)
    has_digits = any(
        name_and_path(file)[1].samefile(fetch(DIGITS)) for file in files
    )
    examples = demo.write_examples(folder) if has_digits else []
    return [*pool.tasks], demo.show_here(pool), examples


def serve(page: Any, args: argparse.Namespace, limits: Limits) -> None:
    """Serve until interrupted; nothing is asked of other machines."""
    import gradio as gr

    print(f'Serving at http://{args.host}:{args.port}; end it by Ctrl+C.')
    sys.stdout.flush()
    page.launch(
        quiet=True,
        server_name=args.host,
        server_port=args.port,
        share=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        ssr_mode=False,
        theme=gr.themes.Default(
            font=('system-ui', 'sans-serif'), font_mono=('monospace',)
        ),
        css=demo.CSS,
        # Above our own limit, which comes with a message on the page: from
        # here on the file is not even taken in.
        max_file_size=4 * limits.max_bytes,
    )
