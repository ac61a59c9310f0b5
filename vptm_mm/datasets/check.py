"""Looks at every image of a config's data sets, and says what is wrong."""

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import cv2
import mmengine.fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import (
    ClassBalancedDataset,
    ConcatDataset,
    RepeatDataset,
)
from rich.console import Console
from rich.table import Table

from ..image_content import UnreadableImageError, decode, open_header
from ..progress import progress
from .transforms import LoadCheckedImage

PROBLEM, NOTE = 'problem', 'note'
CHUNK = 8  # images that a worker hands over at once
ORIENTATION = 0x112  # tag of EXIF


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Size, digest, notes and fault of one image.

    Args:
        size: Width and height as loaded, in pixels; None if it is unreadable.
        digest: sha256 of shape and pixels, or of the file if it is
            unreadable; None if it is not there.
        notes: What the loader handles, and is worth knowing.
        problem: Why it is unreadable, in few words; empty if it is not.
        reason: The same as the text of an error.
    """

    size: tuple[int, int] | None = None
    digest: bytes | None = None
    notes: tuple[str, ...] = ()
    problem: str = ''
    reason: str = ''


@dataclass(slots=True)
class ListedImage:
    """Name, split and class of an image, and its facts.

    Args:
        name: Its path, or split and index if it is in memory.
        split: Name of the split.
        label: None if it has none.
        class_name: Name of its class; empty without a label.
        loader: What reads it; None if it is in memory.
        facts: What was found out about it.
    """

    name: str
    split: str
    label: int | None
    class_name: str
    loader: Any = None
    facts: ImageFacts = ImageFacts()

    @property
    def source(self) -> tuple[str, str, str]:
        """Name and decoder; images that agree in them are read once."""
        loader = self.loader
        return self.name, loader.color_type, loader.imdecode_backend

    def describe(self) -> dict[str, Any]:
        """Return name, split and class for a report."""
        return {
            'image': self.name,
            'split': self.split,
            'label': self.label,
            'class': self.class_name,
        }


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

    Raises:
        RuntimeError: If a worker dies.
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
    _leave_out_repeated(splits, of_hooks)
    findings = [
        *_find_in_images(splits),
        *_find_in_labels(splits, classes, num_classes),
        *_find_equal(splits),
    ]
    return dict(
        splits={
            name: dict(
                images=len(images),
                classes=_count_classes(images, classes[name]),
                **_measure_sizes(images),
            )
            for name, images in splits.items()
        },
        findings=sorted(findings, key=lambda one: one['level'] != PROBLEM),
    )


def has_problems(report: Mapping[str, Any]) -> bool:
    """Whether something found is more than a note."""
    return any(found['level'] == PROBLEM for found in report['findings'])


def print_report(report: dict[str, Any], console: Console, show: int) -> None:
    """Print a table of the splits, then what was found.

    Args:
        report: From ``check_datasets``.
        console: Where to.
        show: Examples of each kind, at most.
    """
    table = Table('split', 'images', 'classes', 'smallest', 'largest')
    table.add_column('width')
    table.add_column('height')
    table.caption = 'width and height: smallest, median, largest (px)'
    for name, split in report['splits'].items():
        ranked = sorted(split['classes'].items(), key=lambda one: one[1])
        table.add_row(
            name,
            f'{split["images"]:,}',
            f'{len(ranked):,}',
            *(f'{c}: {n:,}' for c, n in ranked[:1] + ranked[-1:]),
            *[''] * (0 if ranked else 2),
            *(
                ', '.join(map(str, split[side] or ()))
                for side in ('widths', 'heights')
            ),
        )
    console.print(table, markup=False)
    lines = [] if report['findings'] else ['Nothing was found.']
    groups = defaultdict(list)
    for found in report['findings']:
        groups[f'{found["level"]}: {found["kind"]}'].append(found)
    for title, group in groups.items():
        names = {i['split']: 0 for found in group for i in found['images']}
        where = f' in {", ".join(names)}' if names else ''
        lines.append(f'{title} ({len(group):,}{where})')
        for found in group[:show]:
            lines += _describe_finding(found, show)
        if len(group) > show:
            lines.append(f'  ... and {len(group) - show:,} more')
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def examine_file(path: str, loader: LoadImageFromFile) -> ImageFacts:
    """Read a file once, and decode it as a pipeline's loader does.

    Args:
        path: The file, where ``loader.backend_args`` say.
        loader: ``LoadCheckedImage``, or the host's loader, whose images are
            checked as well here.
    """
    try:
        content = mmengine.fileio.get(path, backend_args=loader.backend_args)
    except (FileNotFoundError, NotADirectoryError) as error:
        return ImageFacts(problem='missing', reason=str(error))
    except OSError as error:
        return ImageFacts(problem='cannot be opened', reason=str(error))
    try:
        pixels = decode(content, loader.color_type, loader.imdecode_backend)
    except UnreadableImageError as error:
        return ImageFacts(
            digest=hashlib.sha256(content).digest(),
            problem=error.kind,
            reason=str(error),
        )
    return examine_pixels(pixels, _take_notes(content))


def examine_pixels(
    pixels: np.ndarray, notes: tuple[str, ...] = ()
) -> ImageFacts:
    """Return size and digest of an image in memory."""
    pixels = np.asarray(pixels)
    if pixels.ndim < 2 or not pixels.size:
        return ImageFacts(
            problem='not an image',
            reason=f'an array of shape {pixels.shape} is not an image.',
        )
    digest = hashlib.sha256(f'{pixels.shape} {pixels.dtype}'.encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return ImageFacts(
        (pixels.shape[1], pixels.shape[0]), digest.digest(), notes
    )


def _take_notes(content: bytes) -> tuple[str, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        image = open_header(content)
        # Before it is read; mode RGB does not tell.
        is_deep = ';16' in str(getattr(image, 'tile', ''))
        try:
            turned = image.getexif().get(ORIENTATION, 1) not in (0, 1)
            frames = getattr(image, 'is_animated', False)
        except Exception:  # metadata are damaged, which the decoder skips
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
    count = 0
    for part in _unwrap(dataset):
        transforms = getattr(getattr(part, 'pipeline', None), 'transforms', ())
        loader = next(
            (t for t in transforms if isinstance(t, LoadImageFromFile)),
            LoadCheckedImage(),
        )
        for info in map(part.get_data_info, range(len(part))):
            label = info.get('gt_label')
            label = None if label is None else int(label)
            name = '' if label is None else f'label {label}'
            if label is not None and 0 <= label < len(classes):
                name = classes[label]
            image = ListedImage(f'{split}[{count}]', split, label, name)
            if 'img' in info:
                image.facts = examine_pixels(info['img'])
            else:
                image.name, image.loader = str(info['img_path']), loader
            yield image
            count += 1


def _unwrap(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from _unwrap(part)
    elif isinstance(dataset, (RepeatDataset, ClassBalancedDataset)):
        yield from _unwrap(dataset.dataset)
    else:
        yield dataset


def _examine(images: list[ListedImage], workers: int) -> None:
    """Set the facts of images that are files; each file is read once."""
    files = [image for image in images if image.loader is not None]
    read = {image.source: image for image in files}
    jobs = [(image.name, image.loader) for image in read.values()]
    with ProcessPoolExecutor(
        max(1, workers),
        initializer=cv2.setNumThreads,  # the processes share the cores
        initargs=(0,),
    ) as pool:
        found = (
            pool.map(examine_file, *zip(*jobs, strict=True), chunksize=CHUNK)
            if workers and jobs
            else (examine_file(*job) for job in jobs)
        )
        bar = progress(found, 'Images', len(jobs))
        try:
            facts = dict(zip(read, bar, strict=True))
        except BrokenProcessPool as error:
            raise RuntimeError(
                f'images could not be read ({error}); if memory ran out, give '
                'fewer --workers.'
            ) from error
    for image in files:
        image.facts = facts[image.source]


def _leave_out_repeated(
    splits: dict[str, list[ListedImage]], of_hooks: Sequence[str]
) -> None:
    """Leave out of the splits of hooks what those before them have."""
    seen = set[Any]()
    for name, images in list(splits.items()):
        if name in of_hooks:
            splits[name] = [i for i in images if _identity(i) not in seen]
            if not splits[name]:
                del splits[name]
        seen.update(map(_identity, images))


def _identity(image: ListedImage) -> Any:
    return image.facts.digest or image.name


def _count_classes(
    images: list[ListedImage], classes: list[str]
) -> dict[str, int]:
    named = dict.fromkeys(classes, 0)
    return {**named, **Counter(i.class_name for i in images if i.class_name)}


def _measure_sizes(images: list[ListedImage]) -> dict[str, Any]:
    sizes = np.array([i.facts.size for i in images if i.facts.size])
    if not len(sizes):
        return dict(widths=None, heights=None)
    widths, heights = np.quantile(sizes, [0, 0.5, 1], axis=0).astype(int).T
    return dict(widths=widths.tolist(), heights=heights.tolist())


def _find_in_images(splits: dict[str, list[ListedImage]]) -> Iterator[dict]:
    for images in splits.values():
        for image in {image.name: image for image in images}.values():
            facts = image.facts
            if facts.problem:
                yield _finding(PROBLEM, facts.problem, facts.reason, image)
            for note in facts.notes:
                yield _finding(NOTE, note, '', image)


def _find_in_labels(
    splits: dict[str, list[ListedImage]],
    classes: dict[str, list[str]],
    num_classes: int | None,
) -> Iterator[dict]:
    first = next(iter(classes))
    for name, images in splits.items():
        found = classes[name]
        count = num_classes or len(found)
        if found and len(found) != count:
            yield _finding(
                PROBLEM,
                'number of classes',
                f'{name} has {len(found)} classes, and the head num_classes='
                f'{num_classes}; make them equal.',
            )
        if found and classes[first] and found != classes[first]:
            yield _finding(
                PROBLEM,
                'classes differ',
                f'the classes of {name} are not those of {first}, or in '
                'another order: one label means two things.',
            )
        for image in images:
            if count and not 0 <= (image.label or 0) < count:
                yield _finding(
                    PROBLEM,
                    'label out of range',
                    f'label {image.label} must be from 0 to {count - 1}.',
                    image,
                )
        for one, number in _count_classes(images, found).items():
            if not number:
                text = f'{name} has no image of {one}'
                yield _finding(NOTE, 'empty class', text)


def _find_equal(splits: dict[str, list[ListedImage]]) -> Iterator[dict]:
    groups = defaultdict(list)
    for images in splits.values():
        for image in images:
            groups[_identity(image)].append(image)
    for group in groups.values():
        if len(group) < 2:
            continue
        one_file = len({image.name for image in group}) == 1
        text = 'the same file' if one_file else 'equal images'
        kinds = []
        if len({image.split for image in group}) > 1:
            kinds.append('equal, in several splits')
        if len({image.label for image in group}) > 1:
            kinds.append('equal, labels differ')
        for kind in kinds:
            yield _finding(PROBLEM, kind, text, *group)
        if not kinds:
            yield _finding(NOTE, 'equal, in one split', text, *group)


def _finding(level: str, kind: str, text: str, *images: ListedImage) -> dict:
    described = [image.describe() for image in images]
    return dict(level=level, kind=kind, text=text, images=described)


def _describe_finding(found: dict, show: int) -> Iterator[str]:
    images, text = found['images'], found['text']
    named = [f'{one["split"]} {one["image"]}' for one in images]
    if len(images) == 1:
        yield f'  {named[0]}: {text}' if text else f'  {named[0]}'
        return
    yield f'  {text}'
    for name, image in zip(named[:show], images, strict=False):
        yield f'    {name}, class {image["class"]}'
    if len(images) > show:
        yield f'    ... and {len(images) - show:,} more'
