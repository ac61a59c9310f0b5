"""Draw pictures of a tuned model; docs/pictures.md explains them.

python tools/visualize.py attention CONFIG CHECKPOINT --out pictures
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# First: it says what to install if MMPretrain is missing.
import vptm_mm  # noqa: F401

# isort: split

import torch
from matplotlib.figure import Figure
from mmengine.config import Config, DictAction
from mmengine.model import BaseModel

from vptm_mm import visualization as vis
from vptm_mm.datasets import check_data_roots
from vptm_mm.engine.cfg_options import read_config
from vptm_mm.run_tool import run_tool
from vptm_mm.tasks import load_classifier


@dataclass
class Subject:
    """What the pictures are of.

    Args:
        args: The flags.
        cfg: The config, with ``--cfg-options``.
        model: The classifier.
        images: The chosen images; None if none are needed.
        image_names: For each of them the name of its picture, and its own.
        classes: Names of the classes.
    """

    args: argparse.Namespace
    cfg: Config
    model: BaseModel
    images: Any
    image_names: list[tuple[str, str]]
    classes: list[str]

    def batches(self) -> Iterator[dict]:
        return vis.batches(self.images, self.args.batch_size)

    def write(self, figure: Figure, name: str) -> None:
        path = vis.write_png(figure, Path(self.args.out) / f'{name}.png')
        print(f'wrote {path}')


def draw_attention(subject: Subject) -> None:
    model, classes = subject.model, subject.classes
    said = vis.predict(model, subject.batches())
    found = []
    number = 0
    for batch in subject.batches():
        inputs = model.data_preprocessor(batch, False)['inputs']
        masks, prompts = vis.attention_maps(model.backbone, inputs)
        found.append((masks, prompts))
        for row, pixels in enumerate(vis.to_pixels(model, inputs)):
            picture, image = subject.image_names[number]
            title = f'{image}: predicted {classes[said.predicted[number]]}'
            if said.labels is not None:
                title += f', true {classes[said.labels[number]]}'
            figure = vis.draw_attention(
                pixels,
                masks.patches[row],
                prompts.patches[row],
                model.backbone.sequence.mask_places,
                title,
            )
            subject.write(figure, f'attention_{picture}')
            number += 1
    masks, prompts = (
        vis.AttentionMaps(
            torch.cat([maps.patches for maps in part]),
            torch.cat([maps.shares for maps in part]),
        )
        for part in zip(*found, strict=True)
    )
    title = f'Mean over {number} image{"s" if number > 1 else ""}'
    subject.write(vis.draw_shares(masks, prompts, title), 'attention_shares')


def draw_tokens(subject: Subject) -> None:
    untuned = vis.build_untuned(subject.model, subject.cfg)
    counts = vis.count_tokens(
        subject.model, untuned, subject.batches(), len(subject.classes)
    )
    examples = vis.find_examples(
        subject.model,
        untuned,
        subject.batches(),
        vis.shown_tokens(counts),
    )
    subject.write(vis.draw_tokens(counts, examples, subject.classes), 'tokens')


def draw_embedding(subject: Subject) -> None:
    method, model = subject.args.method, subject.model
    said = vis.predict(model, subject.batches(), with_features=True)
    prototypes = vis.prototypes_of(model)
    embedding = vis.embed(said.features, prototypes, method, subject.args.seed)
    labels, meaning = said.labels, 'true class'
    if labels is None:
        labels, meaning = said.predicted, 'predicted class'
    shown = 't-SNE' if method == 'tsne' else 'PCA'
    title = f'{shown} of {len(labels)} images, by {meaning}'
    if prototypes is not None:
        title += '; prototypes large'
    figure = vis.draw_embedding(embedding, labels, subject.classes, title)
    subject.write(figure, f'embedding_{method}')


def draw_confusion(subject: Subject) -> None:
    said = vis.predict(subject.model, subject.batches())
    counts = vis.count_confusions(
        said.labels, said.predicted, len(subject.classes)
    )
    subject.write(vis.draw_confusion(counts, subject.classes), 'confusion')
    print('\n'.join(vis.confused_pairs(counts, subject.classes)))


def draw_prototypes(subject: Subject) -> None:
    similarity = vis.compare_prototypes(subject.model)
    subject.write(
        vis.draw_prototypes(similarity, subject.classes), 'prototypes'
    )
    print('\n'.join(vis.nearest_pairs(similarity, subject.classes)))


# What draws, how many images by default (None for all), what it shows.
PICTURES: dict[str, tuple[Any, int | None, str]] = {
    'attention': (draw_attention, 4, 'where [MASK] and the prompts look'),
    'tokens': (draw_tokens, 1000, 'visual tokens at [MASK], by class'),
    'embedding': (draw_embedding, 1000, 'features and prototypes as a map'),
    'confusion': (draw_confusion, None, 'which class is taken for which'),
    'prototypes': (draw_prototypes, 0, 'which prototypes are alike'),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    pictures = parser.add_subparsers(
        dest='picture', required=True, metavar='{' + ','.join(PICTURES) + '}'
    )
    for name, (_, num_images, text) in PICTURES.items():
        part = pictures.add_parser(name, help=text, description=text)
        part.add_argument('config', help='path of the config')
        part.add_argument(
            'checkpoint', help='path or address of a checkpoint or task file'
        )
        part.add_argument('--out', required=True, help='folder for pictures')
        part.add_argument(
            '--cfg-options',
            nargs='+',
            action=DictAction,
            default={},
            help='change keys of the config; an unknown key is an error',
        )
        part.add_argument(
            '--device',
            default='cuda' if torch.cuda.is_available() else 'cpu',
            help='where the model runs',
        )
        if num_images != 0:
            add_image_arguments(part, num_images)
    pictures.choices['embedding'].add_argument(
        '--method', choices=vis.METHODS, default='tsne'
    )
    return parser.parse_args()


def add_image_arguments(
    parser: argparse.ArgumentParser, num_images: int | None
) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--images', nargs='+', help='image files')
    source.add_argument(
        '--split',
        choices=vis.SPLITS,
        default='test',
        help="which of the config's data sets",
    )
    parser.add_argument(
        '--num-images',
        type=int,
        default=num_images,
        help='images drawn at random from the split; by default '
        f'{num_images or "all"}',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of the choice of images'
    )
    parser.add_argument('--batch-size', type=int, default=32)


def choose_images(
    args: argparse.Namespace, cfg: Config
) -> tuple[Any, list[tuple[str, str]]]:
    """Open what the flags name; name the picture of each image, and it."""
    if args.batch_size < 1:
        raise ValueError(f'--batch-size={args.batch_size} must be >= 1.')
    if args.images:
        files = vis.ImageFiles(args.images, cfg)
        return files, [
            (f'{i}_{path.stem}', path.name)
            for i, path in enumerate(files.paths)
        ]
    check_data_roots(cfg.get(f'{args.split}_dataloader'))
    dataset = vis.open_split(cfg, args.split)
    sample = vis.draw_sample(dataset, args.num_images, args.seed)
    names = []
    for i in sample.indices:
        picture, image = f'{args.split}_{i}', vis.file_name(dataset, i)
        if image:
            names.append((f'{picture}_{Path(image).stem}', image))
        else:
            names.append((picture, f'{args.split} no. {i}'))
    return sample, names


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    draw, num_images, _ = PICTURES[args.picture]
    images, image_names = None, []
    if num_images != 0:
        images, image_names = choose_images(args, cfg)
    model = load_classifier(cfg, args.checkpoint, args.device)
    classes = vis.class_names(model, getattr(images, 'dataset', None))
    draw(Subject(args, cfg, model, images, image_names, classes))


if __name__ == '__main__':
    run_tool(main)
