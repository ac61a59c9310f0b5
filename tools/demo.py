"""Serve a page that classifies an image by one or several task files.

python tools/demo.py --task birds.safetensors --task dogs.safetensors
"""

import argparse
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# First: it says what to install if MMPretrain is missing.
import vptm_mm  # noqa: F401

# isort: split

import numpy as np
from PIL import Image

from vptm_mm import visualization as vis
from vptm_mm.checkpoints.checkpoint_file import PACKAGED, fetch
from vptm_mm.datasets import SklearnDigits
from vptm_mm.models import VPTMTaskPool
from vptm_mm.models.pool import prepare, read_image

DIGITS = PACKAGED + 'vptm_beitv2-tiny_digits.safetensors'
FORMATS = ('BMP', 'JPEG', 'PNG', 'PPM', 'TIFF', 'WEBP')
MB = 10**6  # bytes
MAX_ASPECT = 20  # resizing a thinner image may need any amount of memory
SHOWN_SIDE = 320  # pixels of a picture on the page
CSS = """
.message {padding: 12px 16px; border-left: 4px solid #d55e00}
#examples .container {width: 56px; height: 56px}
#examples img {image-rendering: pixelated}
"""

Image.MAX_IMAGE_PIXELS = None  # --max-pixels takes its place


@dataclass(frozen=True)
class Limits:
    """What an upload may have at most.

    Args:
        max_bytes: Of the file.
        max_pixels: Width times height.
    """

    max_bytes: int
    max_pixels: int


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Serve a page that classifies an image by task files.',
        epilog='There is no login: who reaches host and port can use it.',
    )
    parser.add_argument(
        '--task',
        action='append',
        metavar='FILE',
        help='task file; may be given several times; the digits that come '
        'with the package by default',
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
    for name in ('max_mb', 'max_pixels'):
        if not getattr(args, name) > 0:  # nor NaN
            flag = name.replace('_', '-')
            parser.error(f'--{flag}={getattr(args, name)} must be > 0')
    if not 1 <= args.port <= 65535:
        parser.error(f'--port={args.port} must be in 1..65535')
    return args


def require_gradio() -> None:
    """Say what to install if gradio is missing."""
    # Read when gradio is imported: it tells its makers nothing.
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "the page needs gradio: pip install 'vptm_mm[demo]'"
        ) from error


def require_free(host: str, port: int) -> None:
    """Say so if nothing can be served at an address."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise OSError(
            f'cannot serve at --host={host} --port={port} '
            f'({error.strerror}); choose others.'
        ) from error


def read_upload(path: str | Path, limits: Limits) -> np.ndarray:
    """Read an uploaded image, if its size and its header allow it.

    Returns:
        ``(height, width, 3)`` in uint8 and BGR.

    Raises:
        ValueError: If it is above a limit, or unreadable; the text is for
            who uploaded it.
    """
    num_bytes = Path(path).stat().st_size
    if num_bytes > limits.max_bytes:
        raise ValueError(
            f'This file has {num_bytes / MB:.2f} MB, and '
            f'{limits.max_bytes / MB:g} MB are allowed. Give a smaller image.'
        )
    unreadable = (
        'This file is no readable image. Give a whole file in one of the '
        f'formats {", ".join(FORMATS)}.'
    )
    try:
        image = Image.open(path, formats=FORMATS)  # reads the header
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(unreadable) from error
    with image:
        require_size(*image.size, limits)
        try:
            image.load()  # OpenCV fills up what is cut short
            return read_image(path)
        except Exception as error:
            raise ValueError(unreadable) from error


def require_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise ValueError(
            f'This image has {width} x {height} = {width * height:,} pixels, '
            f'and {limits.max_pixels:,} are allowed. Give a smaller image.'
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ValueError(
            f'This image of {width} x {height} pixels is too thin: one side '
            f'may be {MAX_ASPECT} times the other. Cut it.'
        )


def find_tasks(names: list[str] | None) -> list[Path]:
    """Turn ``vptm_mm://`` addresses into paths; the default is the digits."""
    return [
        fetch(name) if name.startswith(PACKAGED) else Path(name)
        for name in names or [DIGITS]
    ]


def write_examples(folder: Path) -> list[str]:
    """Write the first test image of each digit; return their paths."""
    dataset = SklearnDigits(split='test')
    labels = list(dataset.get_gt_labels())
    examples = []
    for label, name in enumerate(dataset.metainfo['classes']):
        path = folder / f'digit_{name}.png'
        pixels = dataset.get_data_info(labels.index(label))['img']
        Image.fromarray(pixels).save(path)
        examples.append(str(path))
    return examples


def draw_pictures(
    pool: VPTMTaskPool, name: str, image: np.ndarray
) -> list[tuple[Image.Image, str]]:
    """Draw what a task sees, and where its [MASK] looks, with captions."""
    task = pool.tasks[name]
    device = pool.encoder.cls_token.device
    inputs = prepare(image, task).to(device)  # (3, img_size, img_size)
    looks = vis.mask_attention(pool, name, inputs)
    seen = vis.to_pixels(task, inputs[None])[0]
    return [
        (_enlarge(vis.to_uint8(seen)), 'What the model sees'),
        (
            _enlarge(vis.draw_overlay(seen, looks)),
            f'Where [MASK] looks, 0 to {looks.max():.1%}',
        ),
    ]


def _enlarge(pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(pixels)
    times = max(1, SHOWN_SIDE // image.width)
    size = (image.width * times, image.height * times)
    return image.resize(size, Image.Resampling.NEAREST)


def build_page(pool: VPTMTaskPool, limits: Limits, examples: list[str]) -> Any:
    """Build the page, a ``gradio.Blocks``."""
    import gradio as gr

    names = list(pool.tasks)
    with gr.Blocks(
        title='vptm_mm',
        analytics_enabled=False,
        delete_cache=(600, 3600),  # seconds: look how often, keep how long
    ) as page:
        gr.Markdown('# One frozen backbone, many tasks')
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                upload = gr.File(
                    label=f'Image, up to {limits.max_bytes / MB:g} MB and '
                    f'{limits.max_pixels:,} pixels',
                    elem_id='upload',
                    height=160,
                )
                chosen = gr.CheckboxGroup(
                    names, value=names[:1], label='Tasks', elem_id='tasks'
                )
                if examples:
                    _add_examples(gr, examples, upload)
            with gr.Column(scale=5):
                # One at a time: recording attention hooks the one backbone.
                @gr.render([upload, chosen], concurrency_limit=1)
                def show(path: str | None, tasks: list[str]) -> None:
                    _show_results(gr, pool, limits, path, tasks)

    return page


def _add_examples(gr: Any, examples: list[str], upload: Any) -> None:
    shown = gr.Dataset(
        label='Or take a digit of the test images',
        # On the page, or the files would be deleted as old uploads are.
        components=[gr.Image(visible=False)],
        samples=[[path] for path in examples],
        type='index',
        elem_id='examples',
    )
    shown.click(
        lambda index: examples[index], shown, upload, api_visibility='private'
    )


def _show_results(
    gr: Any,
    pool: VPTMTaskPool,
    limits: Limits,
    path: str | None,
    tasks: list[str],
) -> None:
    """Make the right side of the page: a message, or a row for each task."""
    message = ''
    if path is None:
        message = 'Drop an image on the left.'
    elif not tasks:
        message = 'Choose a task on the left.'
    else:
        try:
            image = read_upload(path, limits)
        except ValueError as error:
            message = str(error)
    if message:
        gr.Markdown(message, elem_id='message', elem_classes='message')
        return
    results = pool.predict([image], [tasks])[0]
    for name in tasks:
        shares = results[name]['pred_scores'].tolist()
        with gr.Row():
            gr.Label(
                dict(zip(pool.tasks[name].classes, shares, strict=True)),
                num_top_classes=5,
                label=name,
                elem_classes='result',
            )
            for picture, caption in draw_pictures(pool, name, image):
                with gr.Column(min_width=200):
                    gr.Markdown(caption)
                    gr.Image(
                        picture,
                        show_label=False,
                        buttons=[],
                        format='png',
                        elem_classes='picture',
                    )


def main() -> None:
    args = parse_args()
    require_gradio()
    require_free(args.host, args.port)
    files = find_tasks(args.task)
    pool = VPTMTaskPool.from_files(files, args.weights).to(args.device)
    limits = Limits(int(args.max_mb * MB), args.max_pixels)
    # Examples and uploads go when the server ends.
    with TemporaryDirectory(prefix='vptm_mm_demo_') as folder:
        # Apart from each other: old uploads are deleted.
        os.environ['GRADIO_TEMP_DIR'] = str(Path(folder, 'uploads'))
        has_digits = any(path.samefile(fetch(DIGITS)) for path in files)
        examples = write_examples(Path(folder)) if has_digits else []
        serve(build_page(pool, limits, examples), args, limits)


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
        css=CSS,
        # Above our own limit, which comes with a message on the page: from
        # here on the file is not even taken in.
        max_file_size=4 * limits.max_bytes,
    )


if __name__ == '__main__':
    sys.exit(main())
