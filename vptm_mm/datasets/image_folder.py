"""Any folder of images: a class is a sub-folder."""

from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from ..nn import is_finite, is_whole
from .class_folders import (
    ClassImages,
    find_images,
    find_split_folders,
    list_images,
    require_no_groups,
)
from .hash_order import hash_rank, list_digest
from .image_files import show_names

SPLITS = ('train', 'val', 'test', 'all')


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """Images of your own, in one folder for each class.

    Two layouts are read. With ``<class>/...``, three parts are cut from each
    class: in the order of the sha256 of seed and path, the first images are
    for the test, the next for validation, the others for training. With
    ``train/<class>/...`` and ``test/<class>/...`` these are taken as they
    are; validation images are those of ``val/<class>/...``, or are cut from
    the training images where there is no such folder. Other names of splits,
    such as ``Training`` and ``valid``, are read as these.

    Images may lie deeper than their class folder, in linked folders, too:
    within the class, where each folder is read once, or out of ``data_root``.
    Hidden files and folders and ``__MACOSX`` are skipped, as are other files,
    which are counted in the log. The digest of a list that is cut is logged.

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
            ``classes`` are others than the folders, or the folder does not
            say clearly which image is of which class.
        FileNotFoundError: If the folder, or its sub-folder ``test``, is
            missing, or images are links that lead nowhere.
    """

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
        if split not in SPLITS:
            raise ValueError(f'split={split!r} must be one of {SPLITS}.')
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
        if not is_whole(seed):
            raise ValueError(f'seed={seed!r} must be a whole number.')
        if not with_label and split != 'all':
            raise ValueError(
                f"with_label=False takes split='all', and split={split!r}."
            )
        self.split = split
        self.with_label = with_label
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.seed = seed
        super().__init__(
            ann_file='',
            data_root=str(Path(data_root).expanduser()),
            data_prefix='',
            test_mode=split == 'test',
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Return one dict an image: ``img_path`` and ``gt_label``."""
        root = Path(self.data_root)
        if not root.is_dir():
            raise FileNotFoundError(f'no {root.absolute()}')
        if not self.with_label:
            return [dict(img_path=str(path)) for path in list_images(root)]
        given = self._metainfo.get('classes')
        classes, images = self._find(root, None if given is None else [*given])
        self._metainfo['classes'] = tuple(classes)
        return [
            dict(img_path=str(path), gt_label=label)
            for label, name in enumerate(classes)
            for path in images.get(name, ())
        ]

    def extra_repr(self) -> list[str]:
        """Name the split when the data set is printed."""
        return [
            f'Root of dataset: \t{self.data_root}',
            f'Split: \t{self.split}',
        ]

    def _find(self, root: Path, given: list[str] | None) -> ClassImages:
        """Return the classes, and the images of this split."""
        splits = find_split_folders(root)
        if not splits and given is None:
            require_no_groups(root)
        if self.split == 'all':
            classes = given
            images: dict[str, list[Path]] = {}
            for folder in splits.values() or [root]:
                names, found = find_images(folder, root, classes)
                classes = classes or names
                for name, paths in found.items():
                    images[name] = images.get(name, []) + paths
            return classes or [], images
        first = splits.get('train', root)
        if splits and first is root:
            raise ValueError(
                f'{root} holds {show_names(list(splits.values()))} and no '
                'folder of training images. tools/test.py with --folder tests '
                'a task on all images of a folder.'
            )
        if splits and 'test' not in splits:
            raise FileNotFoundError(
                f'no {(root / "test").absolute()}; {first} holds class '
                'folders, so the test images must lie beside it.'
            )
        classes, images = find_images(first, root, given)
        missing = sorted(set(given or ()) - set(classes))
        if missing:
            raise ValueError(
                f'{first} has no folder {", ".join(missing):.80}, which '
                'classes= names.'
            )
        classes = given or classes
        if self.split in splits:
            if self.split != 'train':
                _, images = find_images(splits[self.split], root, classes)
                return classes, images
            if 'val' in splits:
                return classes, images
        shares = dict(test=self.test_fraction, val=self.val_fraction)
        if splits:
            del shares['test']
        return classes, self._cut(images, shares)

    def _cut(
        self, images: dict[str, list[Path]], shares: dict[str, float]
    ) -> dict[str, list[Path]]:
        """Return this split's images, and log the digest of their list."""
        root = Path(self.data_root)
        chosen = {}
        for name, paths in images.items():
            if len(paths) <= len(shares):
                raise ValueError(
                    f'class {name} has {len(paths)} images; it needs '
                    f'{len(shares) + 1}, one each for train and '
                    f'{" and ".join(shares)}.'
                )
            ranked = sorted(
                paths,
                key=lambda path: hash_rank(
                    path.relative_to(root).as_posix(), self.seed
                ),
            )
            parts = {}
            others = len(shares)
            for part, share in shares.items():
                # One image at least remains for each part that follows.
                wanted = max(1, round(share * len(paths)))
                wanted = min(wanted, len(ranked) - others)
                parts[part], ranked = ranked[:wanted], ranked[wanted:]
                others -= 1
            parts['train'] = ranked
            chosen[name] = sorted(parts[self.split])
        names = [
            path.relative_to(root).as_posix()
            for paths in chosen.values()
            for path in paths
        ]
        MMLogger.get_current_instance().info(
            f'{self.split} split: {len(names)} of '
            f'{sum(map(len, images.values()))} images, seed {self.seed}, '
            f'sha256 of the list {list_digest(names)}'
        )
        return chosen
