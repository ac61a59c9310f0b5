"""The page of vptm demo."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .datasets import SklearnDigits
from .serving.client import Client, ServerError
from .tasks import VPTMTaskPool
from .tasks.pool import Picture
from .upload import MB, Limits, read_upload
from .visualization.attention import mask_attention, overlay_attention
from .visualization.images import to_pixels, to_uint8

# Of a task: its name, shares of classes, pictures with captions.
Shown = tuple[str, dict[str, float], list[tuple[Image.Image, str]]]
Show = Callable[[list[str], str], Iterable[Shown]]
SHOWN_SIDE = 320  # pixels of a picture on the page
CSS = """
#message {padding: 12px 16px; border-left: 4px solid #d55e00}
#examples .container {width: 56px; height: 56px}
#examples img {image-rendering: pixelated}
"""


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


def build_page(
    names: list[str], show: Show, limits: Limits, examples: list[str]
) -> Any:
    """Build the page, a ``gradio.Blocks``.

    Args:
        names: Of the tasks.
        show: Classifies a file by tasks; see ``show_here``.
        limits: Of the file.
        examples: Images that may be chosen.
    """
    import gradio as gr

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
                def results(path: str | None, tasks: list[str]) -> None:
                    _show_results(gr, show, limits, path, tasks)

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
    show: Show,
    limits: Limits,
    path: str | None,
    tasks: list[str],
) -> None:
    """Make the right side of the page: a message, or a row for each task."""
    message = ''
    results: list[Shown] = []
    if path is None:
        message = 'Drop an image on the left.'
    elif not tasks:
        message = 'Choose a task on the left.'
    else:
        try:
            read_upload(Path(path).read_bytes(), limits)
            results += show(tasks, path)
        except (ServerError, ValueError) as error:
            message = str(error)
    if message:
        gr.Markdown(message, elem_id='message')
        return
    for name, shares, pictures in results:
        with gr.Row():
            gr.Label(
                shares,
                num_top_classes=5,
                label=name,
                elem_classes='result',
            )
            for picture, caption in pictures:
                with gr.Column(min_width=200):
                    gr.Markdown(caption)
                    gr.Image(
                        picture,
                        show_label=False,
                        buttons=[],
                        format='png',
                        elem_classes='picture',
                    )


def show_here(pool: VPTMTaskPool) -> Show:
    """Return what classifies a file by tasks of a pool, with pictures."""

    def show(names: list[str], path: str) -> Iterator[Shown]:
        for name, result, pictures in classify_and_show(pool, names, path):
            shares = result['pred_scores'].tolist()
            classes = pool.tasks[name].classes
            yield name, dict(zip(classes, shares, strict=True)), pictures

    return show


def show_from(client: Client) -> Show:
    """Return what classifies a file by tasks of a server."""

    def show(names: list[str], path: str) -> Iterator[Shown]:
        found = client.predict(Path(path).read_bytes(), names)
        for name, top in found.items():
            yield name, {one['label']: one['score'] for one in top}, []

    return show


def classify_and_show(
    pool: VPTMTaskPool, names: list[str], image: Picture
) -> Iterator[tuple[str, dict[str, Any], list[tuple[Image.Image, str]]]]:
    """Classify an image by several tasks, in one run of the encoder.

    Args:
        pool: The pool.
        names: Its tasks that are asked.
        image: The image; a file, as each task has a loader of its own.

    Yields:
        For each task its name, its result, and pictures with captions: what
        it sees, and where its [MASK] looks.
    """
    prepared = pool.prepare(image, names)
    results, looks = mask_attention(pool, prepared)
    inputs = {
        name: one
        for one, readers in zip(prepared.inputs, prepared.readers, strict=True)
        for name in readers
    }
    for name in names:
        seen = to_pixels(pool.tasks[name], inputs[name][None])[0]
        overlay = overlay_attention(seen, looks[name])
        yield (
            name,
            results[name],
            [
                (_enlarge(to_uint8(seen)), 'What the model sees'),
                (
                    _enlarge(overlay),
                    f'Where [MASK] looks, 0 to {looks[name].max():.1%}',
                ),
            ],
        )


def _enlarge(pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(pixels)
    times = max(1, SHOWN_SIDE // image.width)
    size = (image.width * times, image.height * times)
    return image.resize(size, Image.Resampling.NEAREST)
