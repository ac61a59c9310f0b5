"""NABirds: North American birds, in its official folder format."""

from os import path as osp
from typing import Any

from mmpretrain.registry import DATASETS

from .split_dataset import SplitDataset, read_pairs

FILES = (
    'images.txt',
    'image_class_labels.txt',
    'train_test_split.txt',
    'classes.txt',
)
SPLIT_NAMES = {'1': 'train', '0': 'test'}


@DATASETS.register_module()
class NABirds(SplitDataset):
    """NABirds <https://dl.allaboutbirds.org/nabirds>.

    48,562 images of 555 visual categories: 23,929 train, 24,633 test. From
    Building a Bird Recognition App and Large Scale Dataset With Citizen
    Scientists <https://openaccess.thecvf.com/content_cvpr_2015/html/Horn_Building_a_Bird_2015_CVPR_paper.html>.

    The folder holds ``images/``, ``images.txt`` (image id and path),
    ``image_class_labels.txt`` (image id and class id),
    ``train_test_split.txt`` (image id and 1 for train, 0 for test) and
    ``classes.txt`` (class id and name). ``classes.txt`` names a tree; only
    its leaves have images, so their ids have gaps. Labels count the ids that
    ``image_class_labels.txt`` uses, in ascending order.

    Args:
        data_root: The folder.
        split: ``'train'`` or ``'test'``.
        **kwargs: As in MMPretrain's ``BaseDataset``.

    Raises:
        ValueError: If ``split`` is neither, or a file is broken.
        FileNotFoundError: If a file or an image is missing.
    """  # noqa: E501

    NUM_CLASSES = 555

    def __init__(
        self, data_root: str, split: str = 'train', **kwargs: Any
    ) -> None:
        super().__init__(
            split,
            data_root,
            ann_file='images.txt',
            data_prefix='images',
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Return one dict an image: ``img_path`` and ``gt_label``."""
        paths, class_of, split_of, names = (
            dict(read_pairs(osp.join(self.data_root, name))) for name in FILES
        )
        # As numbers, which have no leading zeros.
        ids = sorted(set(class_of.values()), key=lambda one: (len(one), one))
        # A class that is missing would move the labels of those after it.
        if len(ids) != self.NUM_CLASSES:
            raise ValueError(
                f'{osp.join(self.data_root, FILES[1])} names {len(ids)} '
                f'classes; NABirds has {self.NUM_CLASSES}. Download it again.'
            )
        labels = {entry: label for label, entry in enumerate(ids)}
        try:
            classes = [names[entry] for entry in ids]
            images = [
                (path, labels[class_of[image]])
                for image, path in paths.items()
                if SPLIT_NAMES[split_of[image]] == self.split
            ]
        except KeyError as error:
            raise ValueError(
                f'{", ".join(FILES)} in {self.data_root} do not fit together: '
                f'{error!s:.80} of one has no place in another; download them '
                'again.'
            ) from error
        self.name_classes(classes)
        return self.make_list(images, self.ann_file)
