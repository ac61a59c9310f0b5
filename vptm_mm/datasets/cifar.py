"""CIFAR-10 and CIFAR-100 in BGR, as image files are read."""

import numpy as np
from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.registry import DATASETS


@DATASETS.register_module()
class BGRCIFAR10(CIFAR10):
    """MMPretrain's ``CIFAR10``, whose images are RGB, in BGR.

    Files are read as BGR. A task that was tuned on RGB would see a file's red
    as blue.
    """

    def load_data_list(self) -> list[dict]:
        """Return one dict an image: ``img`` (32, 32, 3) and its label."""
        return _to_bgr(super().load_data_list())


@DATASETS.register_module()
class BGRCIFAR100(CIFAR100):
    """MMPretrain's ``CIFAR100`` in BGR, as ``BGRCIFAR10``."""

    def load_data_list(self) -> list[dict]:
        """Return one dict an image: ``img`` (32, 32, 3) and its label."""
        return _to_bgr(super().load_data_list())


def _to_bgr(data_list: list[dict]) -> list[dict]:
    return [
        {**item, 'img': np.ascontiguousarray(item['img'][..., ::-1])}
        for item in data_list
    ]
