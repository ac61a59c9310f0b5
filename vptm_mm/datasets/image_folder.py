"""Any folder of images: a class is a sub-folder."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmpretrain.registry import DATASETS

from ..image_files import (
    EXTENSIONS,
    describe_skipped,
    find_files,
    is_image,
    show_names,
    sub_folders,
)
from ..nn import is_finite, is_int
from .split_dataset import SplitDataset, require_files
from .subsets import hash_rank, list_digest

# Words of a folder's name that say which split it holds.
SPLIT_WORDS = {
    'train': {'train', 'training', 'trainset', 'trn'},
    'val': {'val', 'valid', 'validation', 'dev', 'eval', 'evaluation'},
    'test': {'test', 'testing', 'testset', 'tst'},
}
# The images of each class.
ClassImages = dict[str, list[Path]]


@DATASETS.register_module()
class ImageFolder(SplitDataset):
    """Images of your own, in one folder for each class.

    Two layouts are read. With ``<class>/...``, three parts are cut from each
    class: in the order of the sha256 of seed and path, the first images are
    for the test, the next for validation, the others for training. With
    ``train/<class>/...`` and ``test/<class>/...`` these are taken as they
    are; validation images are those of ``val/<class>/...``, or are cut from
    the training images where there is no such folder. Other names of splits,
    such as ``Training`` and ``valid``, are read as these.

    Images may lie deeper than their class folder, in linked folders, too,
    where each folder is read once. Hidden files and folders and ``__MACOSX``
    are skipped, as are other files, which are counted in the log. The digest
    of a list that is cut is logged.

    Args:
        data_root: The folder.
        split: ``'train'``, ``'val'``, ``'test'``, or ``'all'`` for every
            image of the folder.
        val_fraction: Share of each class that is for validation, 0-1; at
            least one image.
        test_fraction: As ``val_fraction``, for the test; without meaning
            where there is a folder ``test``.
        seed: Another seed gives another cut.
        with_label: Whether sub-folders are classes. If not, all images are
            listed, wherever they lie; it takes ``split='all'``.
        **kwargs: As in MMPretrain's ``BaseDataset``. With ``classes`` labels
            are counted in their order; with ``split='all'`` some of them may
            have no folder.

    Raises:
        ValueError: If ``split``, ``seed`` or a fraction is out of range,
            ``classes`` lack a folder, or the folder does not say clearly
            which image is of which class.
        FileNotFoundError: If the folder, or its sub-folder ``train`` or
            ``test``, is missing, or images are links that lead nowhere.
    """

    SPLITS = ('train', 'val', 'test', 'all')

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        seed: int = 0,
        with_label: bool = True,
        **kwargs: Any,
    ) -> None:
        fractions = (val_fraction, test_fraction)
        if (
            not all(map(is_finite, fractions))
            or min(fractions) <= 0
            or sum(fractions) >= 1
        ):
            raise ValueError(
                f'val_fraction={val_fraction!r} and test_fraction='
                f'{test_fraction!r} must be numbers above 0 and leave some '
                'images to train on.'
            )
        if not is_int(seed):
            raise ValueError(f'seed={seed!r} must be an int.')
        if not with_label and split != 'all':
            raise ValueError(
                f"with_label=False takes split='all', and split={split!r}."
            )
        self.with_label = with_label
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.seed = seed
        super().__init__(split, data_root, ann_file='', **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return one dict an image: ``img_path`` and ``gt_label``."""
        root = Path(self.data_root)
        if not root.is_dir():
            raise FileNotFoundError(f'no {root.absolute()}')
        if not self.with_label:
            images, others = find_files(root)
            _check_files(root, images, others)
            return [dict(img_path=str(path)) for path in images]
        given = self._metainfo.get('classes')
        classes, found = self._find(root, None if given is None else [*given])
        self._metainfo['classes'] = tuple(classes)
        return [
            dict(img_path=str(path), gt_label=label)
            for label, name in enumerate(classes)
            for path in found.get(name, ())
        ]

    def _find(
        self, root: Path, given: list[str] | None
    ) -> tuple[list[str], ClassImages]:
        """Return the classes, and the images of this split."""
        splits = find_split_folders(root)
        if not splits and given is None:
            _require_no_groups(root)
        if self.split == 'all':
            classes = given
            every: ClassImages = defaultdict(list)
            for folder in splits.values() or [root]:
                found = _find_classes(folder, classes)
                classes = classes or [*found]
                for name, paths in found.items():
                    every[name] += paths
            return classes or [], every
        missing = {'train', 'test'} - splits.keys()
        if splits and missing:
            raise FileNotFoundError(
                f'no {(root / min(missing)).absolute()} beside '
                f'{show_names(splits.values())}, which hold class folders. '
                'vptm test with --folder tests a task on all images of a '
                'folder.'
            )
        first = splits.get('train', root)
        images = _find_classes(first, given)
        classes = given or [*images]
        if self.split == 'train' and 'val' in splits:
            return classes, images
        if self.split != 'train' and self.split in splits:
            return classes, _find_classes(splits[self.split], classes)
        shares = dict(test=self.test_fraction, val=self.val_fraction)
        if splits:
            del shares['test']
        return classes, self._cut(images, shares)

    def _cut(
        self, images: ClassImages, shares: dict[str, float]
    ) -> ClassImages:
        """Return this split's images, and log the digest of their list."""
        names = {
            path: path.relative_to(self.data_root).as_posix()
            for paths in images.values()
            for path in paths
        }
        chosen = {}
        for name, paths in images.items():
            if len(paths) <= len(shares):
                raise ValueError(
                    f'class {name} has {len(paths)} images; it needs '
                    f'{len(shares) + 1}, one each for train and '
                    f'{" and ".join(shares)}.'
                )
            rest = sorted(paths, key=lambda p: hash_rank(names[p], self.seed))
            parts = {}
            for number, (part, share) in enumerate(shares.items()):
                # One image at least remains for each part that follows.
                most = len(rest) - len(shares) + number
                wanted = min(max(1, round(share * len(paths))), most)
                parts[part], rest = rest[:wanted], rest[wanted:]
            chosen[name] = sorted(dict(parts, train=rest)[self.split])
        taken = [names[path] for paths in chosen.values() for path in paths]
        MMLogger.get_current_instance().info(
            f'{self.split} split: {len(taken)} of {len(names)} images, seed '
            f'{self.seed}, sha256 of the list {list_digest(taken)}'
        )
        return chosen


def split_of(name: str) -> str | None:
    """Return the split that a folder's name says; None if it says none.

    Example:
        >>> split_of('seg_train'), split_of('Testing'), split_of('cats')
        ('train', 'test', None)
    """
    words = set(re.findall('[a-z]+', name.lower()))
    named = [split for split, known in SPLIT_WORDS.items() if words & known]
    return named[0] if len(named) == 1 else None


def find_split_folders(root: Path) -> dict[str, Path]:
    """Return the folders of splits; none if classes lie in ``root``."""
    tops = sub_folders(root)
    named = {top: split for top in tops if (split := split_of(top.name))}
    others = [top for top in tops if top not in named]
    if not any(map(sub_folders, named)):
        if named and not others:
            raise ValueError(
                f'{root} holds {show_names(tops)}, which name splits and no '
                'classes; put class folders into each of them.'
            )
        return {}
    if others or len(set(named.values())) < len(named):
        raise ValueError(
            f'{root} holds {show_names(tops)}; of these {show_names(named)} '
            'name splits and hold folders. Leave one each of train, val and '
            'test there, or give classes the names of classes.'
        )
    splits = {}
    for top, split in named.items():
        inner = sub_folders(top)
        # seg_train/seg_train/..., as archives unpack.
        is_wrapped = len(inner) == 1 and split_of(inner[0].name) == split
        splits[split] = inner[0] if is_wrapped else top
    return splits


def count_classes(folder: str) -> int:
    """Return how many classes ``ImageFolder`` finds in a folder.

    Two, the fewest, where there are none: what is wrong there, the data set
    says when it is built.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        return 2
    try:
        splits = find_split_folders(root)
    except ValueError:
        return 2
    first = splits.get('train') or next(iter(splits.values()), root)
    return max(2, len(sub_folders(first)))


def _find_classes(folder: Path, known: list[str] | None) -> ClassImages:
    """Return the images of each class folder.

    Args:
        folder: Where the class folders are.
        known: The classes that may be there; all of any name if not given.
    """
    homes = sub_folders(folder)
    files = {*folder.iterdir()} - {*homes}
    loose = sorted(p for p in files if is_image(p) and p.name[0] != '.')
    if loose:
        raise ValueError(
            f'{len(loose)} images lie in {folder} itself, outside of any '
            f'class folder, such as {show_names(loose)}; move them.'
        )
    unknown = [one for one in homes if known and one.name not in known]
    if unknown:
        raise ValueError(
            f'{folder} holds {show_names(unknown)}, which is not among the '
            f'{len(known or ())} classes {", ".join(known or ()):.200}.'
        )
    if known is None and len(homes) < 2:
        raise ValueError(
            f'{folder} holds {show_names(homes) or "no folder"}; put a '
            'folder of images into it for each class, two at least.'
        )
    images: ClassImages = {}
    others = []
    for home in homes:
        images[home.name], skipped = find_files(home)
        others += skipped
    _check_files(
        folder, [p for paths in images.values() for p in paths], others
    )
    empty = [home for home in homes if not images[home.name]]
    if empty:
        raise ValueError(
            f'{len(empty)} class folders in {folder} hold no image, such as '
            f'{show_names(empty)}; {_describe_endings()}'
        )
    return images


def _require_no_groups(root: Path) -> None:
    """Refuse folders that all hold the same ones, which may be classes."""
    tops = sub_folders(root)
    inner = [{one.name for one in sub_folders(top)} for top in tops]
    same = sorted(set.intersection(*inner)) if len(inner) > 1 else []
    if len(same) > 1:
        raise ValueError(
            f'each folder of {root} holds {show_names(map(Path, same))}: '
            'which are the classes? Name splits train, val and test, or join '
            'the folders of a class; if the outer ones are the classes, name '
            'them as classes= in the data set of each loader.'
        )


def _check_files(folder: Path, images: list[Path], others: list[Path]) -> None:
    """Log what is skipped; require images, and no link that leads nowhere."""
    if skipped := describe_skipped(folder, others):
        MMLogger.get_current_instance().info(skipped)
    if not images:
        raise ValueError(f'{folder} holds no image; {_describe_endings()}')
    require_files(list(map(str, images)), str(folder))


def _describe_endings() -> str:
    return f'images end with {", ".join(sorted(EXTENSIONS))}.'
