"""Any folder of images: a class is a sub-folder."""

from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from ..bricks import is_finite, is_whole
from .class_folders import ClassImages, find_images, shown, sub_folders
from .class_names import set_classes
from .hash_order import hash_rank, list_digest

SPLITS = ('train', 'val', 'test')


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """Images of your own, in one folder for each class.

    Two layouts are read. With ``<class>/...``, three parts are cut from each
    class: in the order of the sha256 of seed and path, the first images are
    for the test, the next for validation, the others for training. With
    ``train/<class>/...`` and ``test/<class>/...`` these are taken as they
    are; validation images are those of ``val/<class>/...``, or are cut from
    the training images where there is no such folder.

    Images may lie deeper than their class folder, in linked folders, too:
    within the class, where each folder is read once, or out of ``data_root``.
    Hidden files and folders are skipped, as are
    other files, which are counted in the log. The digest of a list that is
    cut is logged.

    Args:
        data_root: The folder.
        split: ``'train'``, ``'val'`` or ``'test'``.
        val_fraction: Share of each class that is for validation, 0-1; at
            least one image.
        test_fraction: As ``val_fraction``, for the test; without meaning
            where there is a folder ``test``.
        seed: Another seed gives another cut.
        **kwargs: As in MMPretrain's ``BaseDataset``.

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
        self.split = split
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
        train = root / 'train'
        # The config counts classes by the same rule.
        if train.is_dir() and sub_folders(train):
            classes, images = self._from_split_folders(root)
        else:
            classes, images = self._from_class_folders(root)
        set_classes(self, classes)
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

    def _from_class_folders(self, root: Path) -> ClassImages:
        names = {path.name for path in sub_folders(root)}
        if names and names <= set(SPLITS):
            raise ValueError(
                f'{root} holds {", ".join(sorted(names))}, which name splits '
                'and no classes; put class folders into each of them.'
            )
        classes, images = find_images(root, root)
        shares = dict(test=self.test_fraction, val=self.val_fraction)
        return classes, self._cut(images, shares)

    def _from_split_folders(self, root: Path) -> ClassImages:
        strange = [p for p in sub_folders(root) if p.name not in SPLITS]
        if strange:
            raise ValueError(
                f'{root}/train holds class folders, so {root} may hold '
                f'train, val and test only; it also holds {shown(strange)}.'
            )
        if not (root / 'test').is_dir():
            raise FileNotFoundError(
                f'no {(root / "test").absolute()}; {root}/train holds class '
                'folders, so the test images must lie beside it.'
            )
        classes, images = find_images(root / 'train', root)
        if self.split == 'test' or (root / 'val').is_dir():
            if self.split != 'train':
                _, images = find_images(root / self.split, root, classes)
            return classes, images
        return classes, self._cut(images, dict(val=self.val_fraction))

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
