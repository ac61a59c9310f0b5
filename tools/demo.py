"""Serve a page that classifies an image by one or several task files.

python tools/demo.py --task birds.safetensors --task dogs.safetensors
"""

import argparse
import os
import signal
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# First: it says what to install if MMPretrain is missing.
import vptm_mm  # noqa: F401

# isort: split

from vptm_mm import demo
from vptm_mm.run_tool import run_tool
from vptm_mm.tasks import VPTMTaskPool, name_and_path
from vptm_mm.weights.checkpoint_file import PACKAGED, fetch

DIGITS = PACKAGED + 'vptm_beitv2-tiny_digits.safetensors'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Serve a page that classifies an image by task files.',
        epilog='There is no login: who reaches host and port can use it.',
    )
    parser.add_argument(
        '--task',
        action='append',
        metavar='[NAME=]FILE',
        help='task file, named after itself by default; may be given several '
        'times; the digits that come with the package by default',
    )
    parser.add_argument(
        '--weights',
        help='path or address of the pre-trained weights; those that the '
        'first task names by default',
    )
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen at; by default, this machine only',
    )
    parser.add_argument('--port', type=int, default=7860)
    parser.add_argument(
        '--max-mb', type=float, default=10, help='of an uploaded file'
    )
    parser.add_argument(
        '--max-pixels',
        type=int,
        default=20_000_000,
        help='of an uploaded image, width times height',
    )
    parser.add_argument('--device', default='cpu', help='as in torch')
    args = parser.parse_args()
    for name, most in (
        ('port', 65535),
        ('max_mb', 10_000),
        ('max_pixels', demo.MAX_PIXELS),
    ):
        if not 0 < getattr(args, name) <= most:  # nor NaN
            parser.error(
                f'--{name.replace("_", "-")}={getattr(args, name)} must be '
                f'above 0 and at most {most}'
            )
    return args


def require_free(host: str, port: int) -> None:
    """Say so if nothing can be served at an address."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise OSError(
            f'cannot serve at --host={host} --port={port} '
            f'({error.strerror}); choose others.'
        ) from error


def main() -> None:
    args = parse_args()
    demo.require_gradio()
    require_free(args.host, args.port)
    files = args.task or [DIGITS]
    pool = VPTMTaskPool.from_files(files, args.weights).to(args.device)
    limits = demo.Limits(int(args.max_mb * demo.MB), args.max_pixels)
    # SIGTERM ends the server as Ctrl+C does: the folder goes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with TemporaryDirectory(prefix='vptm_mm_demo_') as folder:
        # Apart from the examples: old uploads are deleted.
        os.environ['GRADIO_TEMP_DIR'] = str(Path(folder, 'uploads'))
        has_digits = any(
            name_and_path(file)[1].samefile(fetch(DIGITS)) for file in files
        )
        examples = demo.write_examples(Path(folder)) if has_digits else []
        serve(demo.build_page(pool, limits, examples), args, limits)


def serve(page: Any, args: argparse.Namespace, limits: demo.Limits) -> None:
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


if __name__ == '__main__':
    run_tool(main)
