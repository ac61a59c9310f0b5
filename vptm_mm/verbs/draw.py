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

from ..datasets import check_data_roots
from ..engine.cfg_options import open_config
from ..tasks import load_classifier
from ..visualization import attention, confusion, embedding, prototypes, tokens
from ..visualization.images import (
    ImageFiles,
    batches,
    file_name,
    open_split,
    sample_images,
    to_pixels,
)
from ..visualization.predictions import class_names, pre_logits, predict
from ..visualization.style import write_png

BATCH_SIZE = 32


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
        return batches(self.images, BATCH_SIZE)

    def write(self, figure: Figure, name: str) -> None:
        path = write_png(figure, Path(self.args.out) / f'{name}.png')
        print(f'wrote {path}')


def plot_attention(subject: Subject) -> None:
    model, classes = subject.model, subject.classes
    said = predict(model, subject.batches())
    shares = []
    number = 0
    for batch in subject.batches():
        inputs = model.data_preprocessor(batch, False)['inputs']
        masks, prompts = attention.attention_maps(model.backbone, inputs)
        shares.append((masks.shares, prompts.shares))
        for row, pixels in enumerate(to_pixels(model, inputs)):
            picture, image = subject.image_names[number]
            title = f'{image}: predicted {classes[said.predicted[number]]}'
            if said.labels is not None:
                title += f', true {classes[said.labels[number]]}'
            figure = attention.plot_attention(
                pixels,
                masks.patches[row],
                prompts.patches[row],
                model.backbone.sequence.mask_places,
                title,
            )
            subject.write(figure, f'attention_{picture}')
            number += 1
    of_masks, of_prompts = map(torch.cat, zip(*shares, strict=True))
    title = f'Mean over {number} image{"s" if number > 1 else ""}'
    figure = attention.plot_shares(of_masks, of_prompts, title)
    subject.write(figure, 'attention_shares')


def plot_tokens(subject: Subject) -> None:
    untuned = tokens.build_untuned(subject.model, subject.cfg)
    counts = tokens.count_tokens(
        subject.model, untuned, subject.batches(), len(subject.classes)
    )
    examples = tokens.find_examples(
        subject.model,
        untuned,
        subject.batches(),
        tokens.shown_tokens(counts),
    )
    subject.write(
        tokens.plot_tokens(counts, examples, subject.classes), 'tokens'
    )


def plot_embedding(subject: Subject) -> None:
    method, model = subject.args.method, subject.model
    said = predict(model, subject.batches(), pre_logits)
    centres = prototypes.prototypes_of(model)
    points, axes = embedding.embed(
        said.features, centres, method, subject.args.seed
    )
    labels, meaning = said.labels, 'true class'
    if labels is None:
        labels, meaning = said.predicted, 'predicted class'
    shown = 't-SNE' if method == 'tsne' else 'PCA'
    title = f'{shown} of {len(labels)} images, by {meaning}'
    if centres is not None:
        title += '; prototypes large'
    figure = embedding.plot_embedding(
        points, axes, labels, subject.classes, title
    )
    subject.write(figure, f'embedding_{method}')


def plot_confusion(subject: Subject) -> None:
    said = predict(subject.model, subject.batches())
    counts = confusion.count_confusions(
        said.labels, said.predicted, len(subject.classes)
    )
    subject.write(
        confusion.plot_confusion(counts, subject.classes), 'confusion'
    )
    print('\n'.join(confusion.confused_pairs(counts, subject.classes)))


def plot_prototypes(subject: Subject) -> None:
    cosines = prototypes.compare_prototypes(subject.model)
    figure = prototypes.plot_prototypes(cosines, subject.classes)
    subject.write(figure, 'prototypes')
    print('\n'.join(prototypes.nearest_pairs(cosines, subject.classes)))


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
        files = ImageFiles(args.images, cfg)
        return files, [
            (f'{i}_{path.stem}', path.name)
            for i, path in enumerate(files.paths)
        ]
    check_data_roots(cfg.get(f'{args.split}_dataloader'))
    dataset = open_split(cfg, args.split)
    sample = sample_images(dataset, args.num_images, args.seed)
    names = []
    for i in sample.indices:
        picture, image = f'{args.split}_{i}', file_name(dataset, i)
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
    classes = class_names(model, getattr(images, 'dataset', None))
    PICTURES[args.picture](
        Subject(args, cfg, model, images, image_names, classes)
    )
