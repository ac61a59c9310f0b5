"""VTAB-1k: nineteen tasks of 1,000 training images, as plain files."""

from os import path as osp
from typing import Any

from mmpretrain.registry import DATASETS

from .split_dataset import SplitDataset, read_pairs


@DATASETS.register_module()
class VTAB1k(SplitDataset):
    """One task of VTAB-1k, from the prepared image folders.

    A Large-scale Study of Representation Learning with the Visual Task
    Adaptation Benchmark <https://arxiv.org/abs/1910.04867>, section 3. The
    folder of a task holds the images and, for each split, a list with lines
    ``path label``; paths begin at the folder of the task. Nothing of
    TensorFlow is needed.

    Classes are named by their number, unless ``classes`` names them: the
    lists hold no names.

    Args:
        task: Name of the task's folder, a key of ``TASKS``.
        split: ``'train800'`` and ``'val200'`` to choose what is to choose,
            ``'train800val200'`` to train with it, ``'test'`` to report.
        data_root: The folder of all tasks.
        **kwargs: As in MMPretrain's ``BaseDataset``.

    Raises:
        ValueError: If ``task`` or ``split`` is unknown, ``classes`` are not
            as many as the task has, or a list is broken.
        FileNotFoundError: If a list or an image is missing.
    """

    SPLITS = ('train800', 'val200', 'train800val200', 'test')
    # Classes K of each task.
    TASKS = {
        # natural
        'caltech101': 102,
        'cifar': 100,
        'dtd': 47,
        'oxford_flowers102': 102,
        'oxford_iiit_pet': 37,
        'sun397': 397,
        'svhn': 10,
        # specialized
        'diabetic_retinopathy': 5,
        'eurosat': 10,
        'patch_camelyon': 2,
        'resisc45': 45,
        # structured
        'clevr_count': 8,
        'clevr_dist': 6,
        'dmlab': 6,
        'dsprites_loc': 16,
        'dsprites_ori': 16,
        'kitti': 4,
        'smallnorb_azi': 18,
        'smallnorb_ele': 9,
    }

    def __init__(
        self,
        task: str,
        split: str = 'train800',
        data_root: str = '',
        **kwargs: Any,
    ) -> None:
        if task not in self.TASKS:
            raise ValueError(
                f'task={task!r} must be one of {", ".join(self.TASKS)}.'
            )
        self.task = task
        super().__init__(
            split,
            osp.join(data_root, task),
            ann_file=f'{split}.txt',
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Return one dict an image: ``img_path`` and ``gt_label``."""
        labels = {str(label): label for label in range(self.TASKS[self.task])}
        self.name_classes(tuple(labels))
        pairs = read_pairs(self.ann_file)
        for path, label in pairs:
            if label not in labels:
                raise ValueError(
                    f'{self.ann_file}: label {label!r:.40} of {path} must '
                    f'be an int from 0 to {len(labels) - 1}.'
                )
        return self.make_list(
            [(path, labels[label]) for path, label in pairs], self.ann_file
        )

    @property
    def copied_images(self) -> list[str]:
        """Images of other splits that this one holds under other names."""
        if self.split != 'train800val200':
            return []
        lists = [
            osp.join(self.data_root, f'{split}.txt')
            for split in ('train800', 'val200')
        ]
        return [
            osp.join(self.img_prefix, path)
            for name in filter(osp.isfile, lists)
            for path, _ in read_pairs(name)
        ]
