"""VTAB-1k: nineteen tasks of 1,000 training images, as plain files."""

from collections.abc import Sequence
from os import path as osp
from typing import Any

from mmengine.logging import MMLogger
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from .index_files import read_pairs, refuse_repeats, require_images

SPLITS = ('train800', 'val200', 'train800val200', 'test')
# Images of each list; those of a test are as many as its source has.
SIZES = {'train800': 800, 'val200': 200, 'train800val200': 1000}


@DATASETS.register_module()
class VTAB1k(BaseDataset):
    """One task of VTAB-1k, from the prepared image folders.

    `A Large-scale Study of Representation Learning with the Visual Task
    Adaptation Benchmark <https://arxiv.org/abs/1910.04867>`_, section 3. The
    folder of a task holds the images and, for each split, a list with lines
    ``path label``; paths begin at the folder of the task. Nothing of
    TensorFlow is needed.

    Classes are named by their number, unless ``classes`` names them: the
    lists hold no names. A list of another length than its name says is
    warned of.

    Args:
        task: Name of the task's folder, a key of ``TASKS``.
        split: ``'train800'`` and ``'val200'`` to choose what is to choose,
            ``'train800val200'`` to train with it, ``'test'`` to report.
        data_root: The folder of all tasks.
        metainfo: As in MMPretrain's ``BaseDataset``.
        classes: Names of the classes, or a file of them; by default their
            numbers.
        **kwargs: As in MMPretrain's ``BaseDataset``.

    Raises:
        ValueError: If ``task`` or ``split`` is unknown, ``classes`` are not
            as many as the task has, or a list is broken.
        FileNotFoundError: If a list or an image is missing.
    """

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
        metainfo: dict | None = None,
        classes: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if task not in self.TASKS:
            raise ValueError(
                f'task={task!r} must be one of {", ".join(self.TASKS)}.'
            )
        if split not in SPLITS:
            raise ValueError(f'split={split!r} must be one of {SPLITS}.')
        self.task = task
        self.split = split
        count = self.TASKS[task]
        metainfo = dict(metainfo or {})
        if metainfo.get('classes') is None:
            metainfo.pop('classes', None)
            classes = classes or [str(label) for label in range(count)]
        super().__init__(
            metainfo=metainfo,
            classes=classes,
            ann_file=f'{split}.txt',
            data_root=osp.join(osp.expanduser(data_root), task),
            test_mode=split == 'test',
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Return one dict an image: ``img_path`` and ``gt_label``."""
        count = self.TASKS[self.task]
        classes = self._metainfo['classes']
        if len(classes) != count:
            raise ValueError(
                f'classes={classes!r:.80} are {len(classes)}; {self.task} has '
                f'{count}.'
            )
        pairs = read_pairs(self.ann_file)
        for path, label in pairs:
            # Python refuses to read numbers of very many digits.
            is_number = label.isdecimal() and len(label) < 10
            if not is_number or int(label) >= count:
                raise ValueError(
                    f'{self.ann_file}: label {label!r:.40} of {path} must '
                    f'be a whole number from 0 to {count - 1}.'
                )
        refuse_repeats([path for path, _ in pairs], self.ann_file)
        data_list = [
            dict(img_path=osp.join(self.img_prefix, path), gt_label=int(label))
            for path, label in pairs
        ]
        require_images(data_list, self.ann_file)
        size = SIZES.get(self.split, len(pairs))
        if len(pairs) != size:
            MMLogger.get_current_instance().warning(
                f'{self.ann_file} lists {len(pairs)} images, and VTAB-1k has '
                f'{size}: results are not those of VTAB-1k.'
            )
        return data_list

    @property
    def copied_images(self) -> list[str]:
        """Images of other splits that this one holds under other names."""
        if self.split != 'train800val200':
            return []
        lists = (
            osp.join(self.data_root, f'{split}.txt')
            for split in ('train800', 'val200')
        )
        return [
            osp.join(self.img_prefix, path)
            for name in filter(osp.isfile, lists)
            for path, _ in read_pairs(name)
        ]

    def extra_repr(self) -> list[str]:
        """Name task and split when the data set is printed."""
        return [f'Task: \t{self.task}', f'Split: \t{self.split}']
