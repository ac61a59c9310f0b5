"""Looks at every image of a config's data sets, and says what is wrong."""

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import cv2
import mmengine.fileio
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import (
    ClassBalancedDataset,
    ConcatDataset,
    RepeatDataset,
)

from ..image_content import UnreadableImageError, decode, open_header
from ..image_loader import LoadCheckedImage
from ..progress import progress
from .split_check import pixels_sha256

PROBLEM, NOTE = 'problem', 'note'
CHUNK = 8  # images that a worker hands over at once
ORIENTATION = 0x112  # tag of EXIF


@dataclass(slots=True)
class ImageFacts:
    """What was found out about one image.

    Args:
        sha256: Of shape and pixels, or of the file if it is unreadable; the
            path if it cannot be opened.
        notes: What the loader handles, and is worth knowing.
        problem: Why it is unreadable, in few words; empty if it is not.
        reason: The same as the text of an error.
    """

    sha256: str | bytes
    notes: tuple[str, ...] = ()
    problem: str = ''
    reason: str = ''


@dataclass(slots=True)
class ListedImage:
    """An image as a report names it, and its facts.

    Args:
        place: Its path (or split and index if it is in memory), split, label
            and class, as ``image``, ``split``, ``label`` and ``class``.
        facts: None until it is read.
        loader: What reads it; None if it is in memory.
    """

    place: dict[str, Any]
    facts: Any = None  # ImageFacts
    loader: Any = None


def check_datasets(
    datasets: Mapping[str, Any],
    num_classes: int | None = None,
    workers: int = 0,
    of_hooks: Sequence[str] = (),
) -> dict[str, Any]:
    """Read each image of some data sets once, under a progress bar.

    Args:
        datasets: Data sets of MMPretrain by split. What ``ConcatDataset``,
            ``RepeatDataset`` and ``ClassBalancedDataset`` repeat counts once.
        num_classes: Of the model's head, if there is one.
        workers: Processes that read; 0 reads in this one.
        of_hooks: Those that hooks read, which may be what is trained on:
            images that one before them has are left out.

    Returns:
        ``splits``, with numbers of each, and ``findings``: each with
        ``level`` (problem or note), ``kind``, ``text`` and ``images``.
    """
    classes = {
        name: [str(one) for one in dataset.metainfo.get('classes') or ()]
        for name, dataset in datasets.items()
    }
    splits = {
        name: list(_list_images(name, dataset, classes[name]))
        for name, dataset in datasets.items()
    }
    _examine([one for images in splits.values() for one in images], workers)
    seen: set[str | bytes] = set()
    for name, images in list(splits.items()):
        if name in of_hooks:
            splits[name] = [i for i in images if i.facts.sha256 not in seen]
            if not splits[name]:
                del splits[name]
        seen.update(image.facts.sha256 for image in images)
    counts = {
        name: {
            **dict.fromkeys(classes[name], 0),
            **Counter(i.place['class'] for i in images if i.place['class']),
        }
        for name, images in splits.items()
    }
    findings = [
        *_find_in_classes(counts, classes, num_classes),
        *_find_in_images(splits, classes, num_classes),
        *_find_equal(splits),
    ]
    return dict(
        splits={
            name: dict(images=len(images), classes=counts[name])
            for name, images in splits.items()
        },
        findings=sorted(findings, key=lambda one: one['level'] != PROBLEM),
    )


def has_problems(report: Mapping[str, Any]) -> bool:
    """Whether something found is more than a note."""
    return any(found['level'] == PROBLEM for found in report['findings'])


def describe(report: Mapping[str, Any], show: int) -> Iterator[str]:
    """Yield lines about the splits, then about what was found.

    Args:
        report: From ``check_datasets``.
        show: Examples of each kind, at most.
    """
    for name, split in report['splits'].items():
        ranked = sorted((n, one) for one, n in split['classes'].items())
        ends = ' to '.join(f'{n:,} ({c})' for n, c in ranked[:1] + ranked[-1:])
        of = f', {len(ranked):,} classes of {ends}' if ranked else ''
        yield f'{name}: {split["images"]:,} images{of}'
    groups = defaultdict(list)
    for found in report['findings']:
        groups[f'{found["level"]}: {found["kind"]}'].append(found)
    for title, group in groups.items():
        yield f'{title} ({len(group):,})'
        for found in group[:show]:
            lines = [
                f'{one["split"]} {one["image"]}, class {one["class"]}'
                for one in found['images'][:show]
            ]
            rest = len(found['images']) - len(lines)
            lines += [f'... and {rest:,} more'] * (rest > 0)
            yield '\n    '.join([f'  {found["text"]}', *lines])
        if len(group) > show:
            yield f'  ... and {len(group) - show:,} more'
    if not groups:
        yield 'Nothing was found.'


def examine_file(path: str, loader: LoadImageFromFile) -> ImageFacts:
    """Read a file once, and decode it as a pipeline's loader does.

    Args:
        path: The file, where ``loader.backend_args`` say.
        loader: ``LoadCheckedImage``, or the host's loader, whose images are
            checked as well here.
    """
    try:
        content = mmengine.fileio.get(path, backend_args=loader.backend_args)
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        problem = 'missing' if is_missing else 'cannot be opened'
        return ImageFacts(path, problem=problem, reason=str(error))
    try:
        pixels = decode(content, loader.color_type, loader.imdecode_backend)
    except UnreadableImageError as error:
        digest = sha256(content).digest()
        return ImageFacts(digest, problem=error.kind, reason=str(error))
    return ImageFacts(pixels_sha256(pixels), _take_notes(content))


def _take_notes(content: bytes) -> tuple[str, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        image = open_header(content)
        # Before it is read; mode RGB does not tell.
        is_deep = ';16' in str(getattr(image, 'tile', ''))
        try:
            turned = image.getexif().get(ORIENTATION, 1) not in (0, 1)
            frames = getattr(image, 'is_animated', False)
        except Exception:  # metadata is damaged, which the decoder skips
            turned = frames = False
    found = {
        'CMYK, converted without a colour profile': image.mode == 'CMYK',
        'more than 8 bits, the lower ones are lost': is_deep,
        'several frames or pages, the first is read': frames
        and image.format != 'MPO',
        'rotated by EXIF, turned upright': turned,
        'with transparency, which is dropped': image.mode
        in ('RGBA', 'LA', 'PA')
        or 'transparency' in image.info,
    }
    return tuple(note for note, holds in found.items() if holds)


def _list_images(
    split: str, dataset: Any, classes: Sequence[str]
) -> Iterator[ListedImage]:
    if isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from _list_images(split, part, classes)
        return
    while isinstance(dataset, (RepeatDataset, ClassBalancedDataset)):
        dataset = dataset.dataset
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    loader = next(
        (t for t in steps if isinstance(t, LoadImageFromFile)),
        LoadCheckedImage(),
    )
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        label = info.get('gt_label')
        label = None if label is None else int(label)
        name = '' if label is None else f'label {label}'
        if label is not None and 0 <= label < len(classes):
            name = classes[label]
        path = str(info.get('img_path') or f'{split}[{index}]')
        place = {'image': path, 'split': split, 'label': label, 'class': name}
        if 'img' in info:
            yield ListedImage(place, ImageFacts(pixels_sha256(info['img'])))
        else:
            yield ListedImage(place, loader=loader)


def _examine(images: list[ListedImage], workers: int) -> None:
    """Set the facts of images that are files; each file is read once."""
    files: dict[tuple[str, str], list[ListedImage]] = defaultdict(list)
    for image in images:
        if image.facts is None:
            files[image.place['image'], repr(image.loader)].append(image)
    paths = [path for path, _ in files]
    loaders = [listed[0].loader for listed in files.values()]
    with ProcessPoolExecutor(
        max(1, workers),
        initializer=cv2.setNumThreads,  # the processes share the cores
        initargs=(0,),
    ) as pool:
        found: Iterable[ImageFacts] = (
            pool.map(examine_file, paths, loaders, chunksize=CHUNK)
            if workers
            else map(examine_file, paths, loaders)
        )
        found = progress(found, 'Images', len(files))
        for listed, facts in zip(files.values(), found, strict=True):
            for image in listed:
                image.facts = facts


def _find_in_classes(
    counts: dict[str, dict[str, int]],
    classes: dict[str, list[str]],
    num_classes: int | None,
) -> Iterator[dict]:
    first = next(iter(classes))
    for name, of_class in counts.items():
        found = classes[name]
        if found and num_classes and len(found) != num_classes:
            text = (
                f'{name} has {len(found)} classes, and the head num_classes='
                f'{num_classes}; make them equal.'
            )
            yield _finding(PROBLEM, 'number of classes', text)
        if found and classes[first] and found != classes[first]:
            text = (
                f'the classes of {name} are not those of {first}, or in '
                'another order: one label means two things.'
            )
            yield _finding(PROBLEM, 'classes differ', text)
        for one, number in of_class.items():
            if not number:
                text = f'{name} has no image of {one}'
                yield _finding(NOTE, 'empty class', text)


def _find_in_images(
    splits: dict[str, list[ListedImage]],
    classes: dict[str, list[str]],
    num_classes: int | None,
) -> Iterator[dict]:
    for name, images in splits.items():
        count = num_classes or len(classes[name])
        for image in images:
            if count and not 0 <= (image.place['label'] or 0) < count:
                text = (
                    f'label {image.place["label"]} must be from 0 to '
                    f'{count - 1}.'
                )
                yield _finding(PROBLEM, 'label out of range', text, image)
        for image in {one.place['image']: one for one in images}.values():
            facts = image.facts
            if facts.problem:
                yield _finding(PROBLEM, facts.problem, facts.reason, image)
            for note in facts.notes:
                yield _finding(NOTE, note, note, image)


def _find_equal(splits: dict[str, list[ListedImage]]) -> Iterator[dict]:
    groups = defaultdict(list)
    for images in splits.values():
        for image in images:
            groups[image.facts.sha256].append(image)
    for group in groups.values():
        several = {
            key: len({image.place[key] for image in group}) > 1
            for key in ('image', 'split', 'label')
        }
        text = 'equal images' if several['image'] else 'the same file'
        if several['split']:
            yield _finding(PROBLEM, 'equal, in several splits', text, *group)
        if several['label']:
            yield _finding(PROBLEM, 'equal, labels differ', text, *group)
        if len(group) > 1 and not several['split'] and not several['label']:
            yield _finding(NOTE, 'equal, in one split', text, *group)


def _finding(level: str, kind: str, text: str, *images: ListedImage) -> dict:
    places = [image.place for image in images]
    return dict(level=level, kind=kind, text=text, images=places)
