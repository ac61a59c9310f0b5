"""Draw pictures of a tuned model; docs/pictures.md explains them.

vptm draw attention CONFIG CHECKPOINT --out pictures
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.model import BaseModel

from .. import visualization as vis
from ..datasets import check_data_roots
from ..tasks import load_classifier
from .open_config import open_config


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


def plot_attention(subject: Subject) -> None:
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
            figure = vis.plot_attention(
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
    subject.write(vis.plot_shares(masks, prompts, title), 'attention_shares')


def plot_tokens(subject: Subject) -> None:
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
    subject.write(vis.plot_tokens(counts, examples, subject.classes), 'tokens')


def plot_embedding(subject: Subject) -> None:
    method, model = subject.args.method, subject.model
    said = vis.predict(model, subject.batches(), with_features=True)
    features: Any = said.features
    prototypes = vis.prototypes_of(model)
    embedding = vis.embed(features, prototypes, method, subject.args.seed)
    labels, meaning = said.labels, 'true class'
    if labels is None:
        labels, meaning = said.predicted, 'predicted class'
    shown = 't-SNE' if method == 'tsne' else 'PCA'
    title = f'{shown} of {len(labels)} images, by {meaning}'
    if prototypes is not None:
        title += '; prototypes large'
    figure = vis.plot_embedding(embedding, labels, subject.classes, title)
    subject.write(figure, f'embedding_{method}')


def plot_confusion(subject: Subject) -> None:
    said = vis.predict(subject.model, subject.batches())
    counts = vis.count_confusions(
        said.labels, said.predicted, len(subject.classes)
    )
    subject.write(vis.plot_confusion(counts, subject.classes), 'confusion')
    print('\n'.join(vis.confused_pairs(counts, subject.classes)))


def plot_prototypes(subject: Subject) -> None:
    similarity = vis.compare_prototypes(subject.model)
    subject.write(
        vis.plot_prototypes(similarity, subject.classes), 'prototypes'
    )
    print('\n'.join(vis.nearest_pairs(similarity, subject.classes)))


PICTURES = dict(
    attention=plot_attention,
    tokens=plot_tokens,
    embedding=plot_embedding,
    confusion=plot_confusion,
    prototypes=plot_prototypes,
)


def choose_images(
    args: argparse.Namespace, cfg: Config
) -> tuple[Any, list[tuple[str, str]]]:
    """Open what the flags name; name the picture of each image, and it."""
    if args.images:
        files = vis.ImageFiles(args.images, cfg)
        return files, [
            (f'{i}_{path.stem}', path.name)
            for i, path in enumerate(files.paths)
        ]
    check_data_roots(cfg.get(f'{args.split}_dataloader'))
    dataset = vis.open_split(cfg, args.split)
    sample = vis.sample_images(dataset, args.num_images, args.seed)
    names = []
    for i in sample.indices:
        picture, image = f'{args.split}_{i}', vis.file_name(dataset, i)
        if image:
            names.append((f'{picture}_{Path(image).stem}', image))
        else:
            names.append((picture, f'{args.split} no. {i}'))
    return sample, names


def run(args: argparse.Namespace) -> None:
    """Run ``vptm draw``."""
    cfg = open_config(args.config, args.checkpoint, args.cfg_options)
    images, image_names = None, list[tuple[str, str]]()
    if hasattr(args, 'images'):
        images, image_names = choose_images(args, cfg)
    model = load_classifier(cfg, args.checkpoint, device=args.device)
    classes = vis.class_names(model, getattr(images, 'dataset', None))
    PICTURES[args.picture](
        Subject(args, cfg, model, images, image_names, classes)
    )
