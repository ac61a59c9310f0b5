"""A folder of images becomes a task, in one pass or by prompt tuning.

Symbols: N images; F width of a feature; K classes.
"""

import copy
import csv
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from .colours_and_edges import colours_and_edges
from .datasets import count_classes
from .datasets.split_check import pixels_sha256
from .engine.launch import LOADERS, build_runner
from .model_index import config_path
from .tasks import (
    inner_datasets,
    load_classifier,
    read_task,
    task_file_name,
    write_task,
)
from .visualization.predictions import Predictions, predict, split_batches
from .weights.checkpoint_file import SUFFIX
from .weights.encoder_config import encoder_config

SPLITS = ('train', 'val', 'test')
STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # C of the probe; validation chooses
SVM_IMAGES = 5_000  # of the training images, at most


@dataclass(frozen=True)
class Accuracy:
    """A number of images, and how many of them are predicted right.

    Args:
        right: How many.
        total: Of how many.
    """

    right: int
    total: int

    @property
    def share(self) -> float:
        """Share of all images, 0-1."""
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of the share."""
        test = binomtest(self.right, self.total)
        low, high = test.proportion_ci(method='wilson')
        return float(low), float(high)

    def clearly_exceeds(self, other: 'Accuracy') -> bool:
        """Whether it is better by two standard errors of the difference.

        The error is that of two independent binomials. Of the same images it
        is too large rather than too small, as mistakes are often shared.
        """
        variances = (
            one.share * (1 - one.share) / one.total for one in (self, other)
        )
        return self.share - other.share > 2 * sum(variances) ** 0.5

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f'{self.share:.1%} of {self.total} images '
            f'(95 %: {low:.1%} to {high:.1%})'
        )


@dataclass(frozen=True)
class Adapted:
    """The task file of a folder, and the accuracies on the way to it.

    Args:
        path: The task file.
        classes: Their names.
        images: For ``'train'``, ``'val'`` and ``'test'`` the number of images
            of each class.
        start: Held-out accuracy without training.
        accuracy: Held-out accuracy of the task file.
        probe: Held-out accuracy of logistic regression on the features that
            the backbone reads without prompts.
        svm: Held-out accuracy of an SVM on colours and edges of the same
            images, without the backbone.
        confusions: True class, predicted class and number of held-out images;
            the most frequent first.
        seconds: How long it took, without probe and SVM.
        helped: Whether training did on the validation images; the task file
            is that of the start otherwise.
        repeated: Images that are in more than one of the splits.
    """

    path: Path
    classes: tuple[str, ...]
    images: dict[str, list[int]]
    start: Accuracy
    accuracy: Accuracy
    probe: Accuracy
    svm: Accuracy
    confusions: list[tuple[str, str, int]]
    seconds: float
    helped: bool = False
    repeated: int = 0


def adapt(
    folder: str | Path | None = None,
    weights: str | None = None,
    *,
    epochs: int = 0,
    masks: int = 2,
    out: str | Path | None = None,
    seed: int = 0,
    device: str = 'auto',
) -> Adapted:
    """Turn a folder of images into a task file.

    Without training, the prototypes are the discriminants of one pass over
    the training images. With it, prompts are tuned from such a start on
    augmented images, and the epoch of the best validation accuracy is taken,
    or the start, if that is better. A fifth of the images is held out, or what
    lies in ``test/``.

    Args:
        folder: A sub-folder for each class; or ``train/``, ``val/``,
            ``test/`` of such folders; or a CSV file with a path and a label
            in each row. None for scikit-learn's digits.
        weights: Path or address of a pre-trained BEiT v2; the one that comes
            with the package by default.
        epochs: Of prompt tuning; 0 for none.
        masks: [MASK] tokens along one side of the image.
        out: The task file, ``FOLDER.task.safetensors`` by default.
        seed: Of the cut, the prompts and the order of images.
        device: As in torch; ``'auto'`` for a GPU if there is one.

    Raises:
        FileNotFoundError: If the folder or the weights are missing.
        ValueError: If there are fewer than two classes, or the weights are
            not those of a BEiT v2.
    """
    begun = time.monotonic()
    if out is not None and Path(out).suffix != SUFFIX:
        raise ValueError(f'out={out} must end in {SUFFIX}.')
    name = 'digits' if folder is None else name_of(Path(folder))
    cfg = make_config(
        folder, weights, masks, seed, Path('work_dirs/adapt', name)
    )
    cfg.randomness = dict(seed=seed)
    if device != 'auto':
        cfg.device = device
    made = Path(cfg.work_dir, task_file_name(cfg.filename))
    untuned = tune(cfg, 0)
    looks = {split: Look(split != 'val') for split in SPLITS}
    outputs = {
        split: run_over(untuned, made, split, look)
        for split, look in looks.items()
    }
    end, task = outputs['test'], read_task(made)
    helped = False
    if epochs:
        tuned = tune(cfg, epochs)
        before, after = (
            accuracy_of(said).right
            for said in (outputs['val'], run_over(tuned, made, 'val'))
        )
        helped = after >= before
        if helped:
            end, task = run_over(tuned, made, 'test'), read_task(made)
    seconds = time.monotonic() - begun
    path = Path(out or f'{name}.task.safetensors')
    path.parent.mkdir(parents=True, exist_ok=True)
    write_task(task, path)
    classes = task.classes
    return Adapted(
        path=path,
        classes=classes,
        images={
            split: np.bincount(
                labels_of(said), minlength=len(classes)
            ).tolist()
            for split, said in outputs.items()
        },
        start=accuracy_of(outputs['test']),
        accuracy=accuracy_of(end),
        probe=probe(**outputs),
        svm=without_backbone(
            outputs['train'],
            torch.cat(looks['train'].pixels),
            outputs['test'],
            torch.cat(looks['test'].pixels),
        ),
        confusions=confusions(end, classes),
        seconds=seconds,
        helped=helped,
        repeated=count_repeated(looks.values()),
    )


def name_of(source: Path) -> str:
    """Return the name of a folder, or of a CSV file without its suffix."""
    source = source.expanduser().absolute()
    return source.name if source.is_dir() else source.stem


def make_config(
    folder: str | Path | None,
    weights: str | None,
    masks: int,
    seed: int,
    work_dir: Path,
) -> Config:
    """Return the config of a run on a folder.

    Raises:
        FileNotFoundError: If the folder or the weights are missing.
        ValueError: If the weights are not those of a BEiT v2.
    """
    base = 'tiny_digits' if folder is None else 'mini_folder'
    cfg = Config.fromfile(config_path(f'vptm_beitv2-{base}'))
    backbone = cfg.model.backbone
    if weights is not None:
        backbone.init_cfg.checkpoint = weights
        backbone.encoder, known = encoder_config(weights)
        if known is not None:
            cfg.data_preprocessor.update(known._asdict())
    backbone.mask_grid = masks
    backbone.prompt_init = 'mask'
    cfg.model.head.in_channels = masks**2 * backbone.encoder.arch.embed_dims
    cfg.work_dir = str(work_dir)
    cfg.log_level = 'ERROR'  # the host warns of itself
    if folder is not None:
        use_images(cfg, Path(folder).expanduser(), seed)
    size = backbone.encoder.img_size
    for split in SPLITS:
        for dataset in inner_datasets(cfg[f'{split}_dataloader'].dataset):
            dataset['pipeline'] = with_size(dataset['pipeline'], size)
    return cfg


def with_size(pipeline: list[dict], size: int) -> list[dict]:
    """Set the side of the images that a pipeline makes, in pixels."""
    sizes = dict(Resize=(size, size), RandomResizedCrop=size)
    return [
        dict(step, scale=sizes[step['type']])
        if step['type'] in sizes
        else step
        for step in pipeline
    ]


def use_images(cfg: Config, source: Path, seed: int) -> None:
    """Replace the data sets of a config by those of a folder or CSV file."""
    if source.is_dir():
        num_classes = count_classes(str(source))
        datasets = {
            split: dict(
                type='ImageFolder',
                data_root=str(source),
                split=split,
                seed=seed,
            )
            for split in SPLITS
        }
    else:
        classes, listed = read_table(source, Path(cfg.work_dir))
        num_classes = len(classes)
        images = dict(type='CustomDataset', classes=classes, **listed)
        datasets = cut(images, seed)
    for split, dataset in datasets.items():
        loader = cfg[f'{split}_dataloader']
        for inner in inner_datasets(dataset):
            inner['pipeline'] = loader.dataset.pipeline
        loader.dataset = dataset
        loader.num_workers = min(loader.num_workers, os.cpu_count() or 1)
    cfg.model.head.num_classes = num_classes
    cfg.data_preprocessor.num_classes = num_classes


def cut(dataset: dict, seed: int) -> dict[str, dict]:
    """Cut a fifth of each class for the test, a tenth for validation."""
    split = dict(type='TrainValSplit', seed=seed)
    held_out = dict(**split, val_fraction=0.2, dataset=dataset)
    rest = dict(
        **split,
        val_fraction=0.125,
        dataset=dict(held_out, part='train'),
    )
    parts = dict(
        train=dict(rest, part='train'),
        val=dict(rest, part='val'),
        test=dict(held_out, part='val'),
    )
    return copy.deepcopy(parts)


def read_table(source: Path, work_dir: Path) -> tuple[list[str], dict]:
    """Read a CSV file of images, and write it as the host's data set does.

    Args:
        source: A path, relative to the file's folder, and a label in each
            row; a first row whose path has no suffix is a heading.
        work_dir: Where the host's list goes.

    Returns:
        The classes, sorted, and where the host finds images and labels.

    Raises:
        FileNotFoundError: If the file or an image is missing.
        ValueError: If a row has no label, or all have the same one.
    """
    if not source.is_file():
        raise FileNotFoundError(f'no folder or CSV file {source.absolute()}')
    try:
        with source.open(newline='', encoding='utf-8-sig') as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f'{source} is neither a folder nor a CSV file in UTF-8 ({error}).'
        ) from error
    folder = source.absolute().parent
    if rows and not Path(rows[0][0]).suffix:
        rows = rows[1:]
    for number, row in enumerate(rows, 1):
        if len(row) < 2 or not row[1].strip():
            raise ValueError(
                f'{source}: image {number}, {row}, must be a path, a comma '
                'and a label.'
            )
        if not (folder / row[0]).is_file():
            raise FileNotFoundError(f'{source}: no {folder / row[0]}')
    classes = sorted({row[1].strip() for row in rows})
    if len(classes) < 2:
        raise ValueError(f'{source}: classes {classes}; it takes two.')
    listed = work_dir.absolute() / 'images.txt'
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text(
        ''.join(f'{row[0]} {classes.index(row[1].strip())}\n' for row in rows),
        encoding='utf-8',
    )
    return classes, dict(data_root=str(folder), ann_file=str(listed))


def tune(cfg: Config, epochs: int) -> Config:
    """Train a config; leave a task file in its work dir.

    Args:
        cfg: The config, which is left as it is.
        epochs: How many; 0 fits the prototypes alone.

    Returns:
        The config of the run.
    """
    cfg = copy.deepcopy(cfg)
    cfg.train_cfg.max_epochs = epochs
    cfg.default_hooks.checkpoint.test_best = False  # the caller does
    if not epochs:
        # Prompts that nobody trains only disturb, and so does augmentation.
        cfg.model.backbone.prompt_length = 0
        whole = next(inner_datasets(cfg.test_dataloader.dataset))
        for dataset in inner_datasets(cfg.train_dataloader.dataset):
            dataset['pipeline'] = whole['pipeline']
        cfg.default_hooks.class_means.least_views = 1
    build_runner(cfg, LOADERS).train()
    return cfg


class Look:
    """Keeps what is to be known of images beside the classifier's answer.

    Args:
        for_svm: Whether to keep colours and edges, as ``pixels``.
    """

    def __init__(self, for_svm: bool) -> None:
        self.for_svm = for_svm
        self.pixels: list[Tensor] = []
        self.digests: set[bytes] = set()

    def over(self, batches: Iterable[dict]) -> Iterator[dict]:
        """Yield the batches, and look at each."""
        for batch in batches:
            images = batch['inputs']
            self.digests.update(pixels_sha256(one) for one in images.numpy())
            if self.for_svm:
                self.pixels.append(colours_and_edges(images))
            yield batch


def count_repeated(looks: Iterable[Look]) -> int:
    """Count the images that are in more than one split."""
    splits = Counter(digest for look in looks for digest in look.digests)
    return sum(count > 1 for count in splits.values())


def run_over(
    cfg: Config, checkpoint: Path, split: str, look: Look | None = None
) -> Predictions:
    """Run a classifier over the images of a split, without augmentation.

    Returns:
        What it says, with what the head reads as features, ``(N, F)``.
    """
    device = cfg.get('device') or 'auto'
    model = load_classifier(cfg, checkpoint, device=device)
    _, batches = split_batches(cfg, split)
    if look is not None:
        batches = look.over(batches)
    return predict(model, batches, lambda model, feats: feats[-1])


def probe(train: Predictions, val: Predictions, test: Predictions) -> Accuracy:
    """Return the accuracy of logistic regression, tuned on validation."""
    best = max(
        (
            make_pipeline(
                StandardScaler(), LogisticRegression(C=c, max_iter=500)
            ).fit(train.features, labels_of(train))
            for c in STRENGTHS
        ),
        key=lambda model: model.score(val.features, labels_of(val)),
    )
    right = best.predict(test.features) == labels_of(test)
    return Accuracy(int(right.sum()), len(right))


def without_backbone(
    train: Predictions,
    train_pixels: Tensor,
    test: Predictions,
    test_pixels: Tensor,
) -> Accuracy:
    """Return the accuracy of an SVM on colours and edges of the images.

    Its time grows with the square of the images: it learns from some of them.
    """
    labels = labels_of(train)
    some = np.random.default_rng(0).permutation(len(labels))[:SVM_IMAGES]
    svm = SVC(C=10).fit(train_pixels.numpy()[some], labels[some])
    right = svm.predict(test_pixels.numpy()) == labels_of(test)
    return Accuracy(int(right.sum()), len(right))


def labels_of(said: Predictions) -> np.ndarray:
    """Return the true classes, ``(N,)``, of a labelled split."""
    labels: Any = said.labels
    return labels.numpy()


def accuracy_of(said: Predictions) -> Accuracy:
    """Count the images whose predicted class is the true one."""
    right = said.predicted.numpy() == labels_of(said)
    return Accuracy(int(right.sum()), len(right))


def confusions(
    said: Predictions, classes: tuple[str, ...]
) -> list[tuple[str, str, int]]:
    """Count the pairs of true and predicted class of all mistakes."""
    pairs = Counter(
        (classes[true], classes[wrong])
        for true, wrong in zip(
            labels_of(said), said.predicted.numpy(), strict=True
        )
        if true != wrong
    )
    return [(*pair, count) for pair, count in pairs.most_common()]
