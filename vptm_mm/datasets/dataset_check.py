"""Looks at every image of a config's data sets, and says what is wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import (
    ClassBalancedDataset,
    ConcatDataset,
    RepeatDataset,
)
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader

from .equal_items import number_equal
from .image_facts import ImageFacts, examine_file, examine_pixels
from .transforms import LoadCheckedImage

CHUNK = 8  # images that a worker hands over at once
PROBLEM, NOTE = 'problem', 'note'


@dataclass
class Split:
    """Which images a split has, and how they are labelled.

    Args:
        name: Such as ``'train'``.
        classes: Names of the classes; empty if the data set has none.
        images: Numbers of images in an ``ImageIndex``.
        labels: The label of each; several are a tuple, none is None.
        of_hook: Whether a hook reads it, which may be what is trained on.
    """

    name: str
    classes: tuple[str, ...] = ()
    images: list[int] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    of_hook: bool = False


class ImageIndex:
    """The images of several splits; a file that several name is there once.

    As a data set of torch, it gives the facts of each.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._sources: list[LoadImageFromFile | ImageFacts] = []
        self._known: dict[tuple, int] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: int) -> ImageFacts:
        source = self._sources[number]
        if isinstance(source, ImageFacts):
            return source
        return examine_file(self.names[number], source)

    def add_split(
        self, name: str, dataset: Any, of_hook: bool = False
    ) -> Split:
        """List a split's images; none of their files is read.

        Args:
            name: Of the split.
            dataset: A data set of MMPretrain. What ``ConcatDataset``,
                ``RepeatDataset`` and ``ClassBalancedDataset`` repeat counts
                once.
            of_hook: Whether a hook reads it.
        """
        classes = dataset.metainfo.get('classes') or ()
        split = Split(name, tuple(map(str, classes)), of_hook=of_hook)
        for part in _unwrap(dataset):
            loader = _find_loader(part)
            for i in range(len(part)):
                info = part.get_data_info(i)
                split.images.append(
                    self._add(info, loader, f'{name}[{len(split.images)}]')
                )
                split.labels.append(_plain_label(info.get('gt_label')))
        return split

    def _add(self, info: dict, loader: LoadImageFromFile, name: str) -> int:
        if 'img' in info:
            self._append(name, examine_pixels(info['img']))
            return len(self.names) - 1
        path = str(info['img_path'])
        key = (path, loader.color_type, loader.imdecode_backend)
        if key not in self._known:
            self._known[key] = len(self.names)
            self._append(path, loader)
        return self._known[key]

    def _append(
        self, name: str, source: LoadImageFromFile | ImageFacts
    ) -> None:
        self.names.append(name)
        self._sources.append(source)


def examine_images(index: ImageIndex, workers: int = 0) -> list[ImageFacts]:
    """Read each image once, under a progress bar.

    Args:
        index: The images.
        workers: Processes that read; 0 reads in this one.

    Raises:
        RuntimeError: If a worker dies.
    """
    loader: DataLoader = DataLoader(
        index,  # type: ignore[arg-type]
        batch_size=CHUNK,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=_start_worker,
    )
    facts: list[ImageFacts] = []
    try:
        batches = iter(loader)  # workers start before the bar's thread
        for batch in track(
            batches,
            description='Images',
            total=len(loader),
            console=Console(stderr=True),
        ):
            facts += batch
    except RuntimeError as error:
        raise RuntimeError(
            f'images could not be read ({error}); if memory ran out, give '
            'fewer --workers.'
        ) from error
    return facts


def make_report(
    splits: list[Split],
    index: ImageIndex,
    facts: list[ImageFacts],
    num_classes: int | None = None,
) -> dict[str, Any]:
    """Sum up what was found.

    Args:
        splits: The splits. Of those of hooks, images that one before them
            has are left out.
        index: Their images.
        facts: What was found out about each image.
        num_classes: Of the model's head, if there is one.

    Returns:
        ``splits``, with numbers of each, and ``findings``: each with
        ``level`` (problem or note), ``kind``, ``text`` and ``images``.
    """
    numbers = number_equal(
        [fact.content_digest for fact in facts],
        [fact.pixel_digest for fact in facts],
    )
    splits = _leave_out_repeated(splits, numbers)
    findings = [
        *_find_in_images(splits, index, facts),
        *_find_in_labels(splits, index, num_classes),
        *_find_equal(splits, index, facts, numbers),
    ]
    return dict(
        splits={
            split.name: dict(
                images=len(split.images),
                classes=_count_classes(split),
                **_measure_sizes([facts[i].size for i in split.images]),
            )
            for split in splits
        },
        findings=findings,
    )


def has_problems(report: dict[str, Any]) -> bool:
    """Whether something found is more than a note."""
    return any(found['level'] == PROBLEM for found in report['findings'])


def _unwrap(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from _unwrap(part)
    elif isinstance(dataset, (RepeatDataset, ClassBalancedDataset)):
        yield from _unwrap(dataset.dataset)
    else:
        yield dataset


def _find_loader(dataset: Any) -> LoadImageFromFile:
    pipeline = getattr(dataset, 'pipeline', None)
    transforms = getattr(pipeline, 'transforms', ())
    loaders = (t for t in transforms if isinstance(t, LoadImageFromFile))
    return next(loaders, LoadCheckedImage())


def _plain_label(label: Any) -> Any:
    label = np.asarray(label).tolist()
    return tuple(label) if isinstance(label, list) else label


def _start_worker(number: int) -> None:
    cv2.setNumThreads(0)  # the processes share the cores


def _labels_of(label: Any) -> tuple:
    if label is None:
        return ()
    return label if isinstance(label, tuple) else (label,)


def _count_classes(split: Split) -> dict[str, int]:
    counts = Counter(i for label in split.labels for i in _labels_of(label))
    named = {name: counts[i] for i, name in enumerate(split.classes)}
    known = range(len(split.classes))
    others = sorted((i for i in counts if i not in known), key=str)
    return named | {_name_class(split, i): counts[i] for i in others}


def _measure_sizes(sizes: Iterable[tuple[int, int] | None]) -> dict[str, Any]:
    known = np.array([size for size in sizes if size is not None])
    if not len(known):
        return dict(widths=None, heights=None)
    widths, heights = (
        [int(f(side)) for f in (np.min, np.median, np.max)] for side in known.T
    )
    return dict(widths=widths, heights=heights)


def _leave_out_repeated(
    splits: list[Split], numbers: list[int]
) -> list[Split]:
    """Leave out of the splits of hooks what those before them have."""
    kept, seen = [], set[int]()
    for split in splits:
        pairs = list(zip(split.images, split.labels, strict=True))
        if split.of_hook:
            pairs = [(i, n) for i, n in pairs if numbers[i] not in seen]
        if pairs or not split.of_hook:
            images, labels = ([p[k] for p in pairs] for k in (0, 1))
            kept.append(replace(split, images=images, labels=labels))
        seen.update(numbers[i] for i in split.images)
    return kept


def _find_in_images(
    splits: list[Split], index: ImageIndex, facts: list[ImageFacts]
) -> Iterator[dict]:
    for split in splits:
        seen = dict(zip(split.images, split.labels, strict=True))
        for number, label in seen.items():
            image = _describe(split, index, number, label)
            fact = facts[number]
            if fact.problem:
                yield _finding(PROBLEM, fact.problem, fact.reason, image)
            for note in fact.notes:
                yield _finding(NOTE, note, '', image)


def _find_in_labels(
    splits: list[Split], index: ImageIndex, num_classes: int | None
) -> Iterator[dict]:
    for split in splits:
        count = num_classes or len(split.classes)
        if split.classes and len(split.classes) != count:
            yield _finding(
                PROBLEM,
                'number of classes',
                f'{split.name} has {len(split.classes)} classes, and the '
                f'head num_classes={num_classes}; make them equal.',
            )
        without = split.of_hook and not (split.classes and splits[0].classes)
        if split.classes != splits[0].classes and not without:
            yield _finding(
                PROBLEM,
                'classes differ',
                f'the classes of {split.name} are not those of '
                f'{splits[0].name}, or in another order: one label means two '
                'things.',
            )
        for number, label in zip(split.images, split.labels, strict=True):
            if count and any(
                not isinstance(i, int) or not 0 <= i < count
                for i in _labels_of(label)
            ):
                yield _finding(
                    PROBLEM,
                    'label out of range',
                    f'label {label} must be from 0 to {count - 1}.',
                    _describe(split, index, number, label),
                )
        for name, images in _count_classes(split).items():
            if not images:
                yield _finding(
                    NOTE, 'empty class', f'{split.name} has no image of {name}'
                )


def _find_equal(
    splits: list[Split],
    index: ImageIndex,
    facts: list[ImageFacts],
    numbers: list[int],
) -> Iterator[dict]:
    groups: dict[int, list[tuple[Split, int, Any]]] = defaultdict(list)
    for split in splits:
        for number, label in zip(split.images, split.labels, strict=True):
            groups[numbers[number]].append((split, number, label))
    for group in groups.values():
        if len(group) < 2:
            continue
        images = [_describe(split, index, i, n) for split, i, n in group]
        text = _how_equal([number for _, number, _ in group], facts)
        several_splits = len({split.name for split, _, _ in group}) > 1
        several_labels = len({label for _, _, label in group}) > 1
        if several_splits:
            yield _finding(PROBLEM, 'equal, in several splits', text, *images)
        if several_labels:
            yield _finding(PROBLEM, 'equal, labels differ', text, *images)
        if not several_splits and not several_labels:
            yield _finding(NOTE, 'equal, in one split', text, *images)


def _how_equal(numbers: list[int], facts: list[ImageFacts]) -> str:
    if len(set(numbers)) == 1:
        return 'the same file'
    if len({facts[i].content_digest or i for i in numbers}) == 1:
        return 'equal bytes'
    return 'equal pixels'


def _describe(
    split: Split, index: ImageIndex, number: int, label: Any
) -> dict:
    return {
        'image': index.names[number],
        'split': split.name,
        'label': label,
        'class': ', '.join(_name_class(split, i) for i in _labels_of(label)),
    }


def _name_class(split: Split, label: Any) -> str:
    is_known = isinstance(label, int) and 0 <= label < len(split.classes)
    return split.classes[label] if is_known else f'label {label}'


def _finding(level: str, kind: str, text: str, *images: dict) -> dict:
    return dict(level=level, kind=kind, text=text, images=list(images))
