"""Images to look at: of a config's data sets, or files of the user's own."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS, TRANSFORMS
from torch import Tensor
from torch.utils.data import Dataset, Subset

from ..image_loader import LoadCheckedImage
from ..tasks import file_pipeline, inner_datasets, prediction_pipeline


class ImageFiles(Dataset):
    """Image files, prepared as the config prepares its test images.

    Args:
        paths: The files.
        cfg: The config.

    Raises:
        FileNotFoundError: If one is not there.
        ValueError: If one is not an image, or the config does not say how
            test images are prepared.
    """

    def __init__(self, paths: Sequence[str | Path], cfg: Config) -> None:
        self.paths = [Path(path) for path in paths]
        for path in self.paths:
            LoadCheckedImage()(dict(img_path=str(path)))
        self.pipeline = Compose(
            [TRANSFORMS.build(step) for step in file_pipeline(cfg)]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict:
        return self.pipeline(dict(img_path=str(self.paths[index])))


def open_split(cfg: Config, split: str) -> Any:
    """Build a data set of a config, with the pipeline of its test images.

    So the images of the training set come without augmentation.

    Args:
        cfg: The config.
        split: ``'test'``, ``'val'`` or ``'train'``.

    Returns:
        A data set of the host.

    Raises:
        ValueError: If the config lacks it.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(
            f'the config has no {split}_dataloader; take another split, give '
            'image files, or, for a task file, name the config of its work '
            'dir before it.'
        )
    dataset = copy.deepcopy(loader['dataset'])
    for inner in inner_datasets(dataset):
        inner['pipeline'] = prediction_pipeline(cfg)
    # Wrappers look for what they wrap in the current scope.
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return DATASETS.build(dataset)


def sample_images(
    dataset: Any, num_images: int | None, seed: int = 0
) -> Subset:
    """Choose images at random, in the order of the data set.

    Args:
        dataset: Any data set.
        num_images: How many; None, or more than there are, for all.
        seed: Another seed chooses others.
    """
    order = np.random.default_rng(seed).permutation(len(dataset))
    return Subset(dataset, sorted(order[:num_images].tolist()))


def file_name(dataset: Any, index: int) -> str:
    """Return the name of an image's file; empty if it has none.

    Args:
        dataset: A data set of the host.
        index: Which image.
    """
    return Path(dataset.get_data_info(index).get('img_path') or '').name


def batches(dataset: Any, batch_size: int) -> Iterator[dict]:
    """Collate images as the host does, one batch after the other."""
    for start in range(0, len(dataset), batch_size):
        stop = min(start + batch_size, len(dataset))
        yield default_collate([dataset[i] for i in range(start, stop)])


def to_pixels(model: Any, inputs: Tensor) -> np.ndarray:
    """Turn what a model reads back into RGB pixels.

    Args:
        model: The classifier; its preprocessor is undone.
        inputs: Preprocessed images, ``(B, 3, height, width)``, or with one
            channel.

    Returns:
        ``(B, height, width, 3)``, 0-1.
    """
    preprocessor = model.data_preprocessor
    pixels = inputs
    if hasattr(preprocessor, 'mean'):
        pixels = pixels * preprocessor.std + preprocessor.mean
    if not getattr(preprocessor, 'to_rgb', False):
        pixels = pixels.flip(1)  # the host loads BGR
    pixels = pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    return (pixels / 255).clamp(0, 1).float().cpu().numpy()


def true_labels(data_samples: Sequence[Any]) -> Tensor | None:
    """Return the class of each image, or None if an image has none.

    Raises:
        ValueError: If an image has several.
    """
    if any('gt_label' not in sample for sample in data_samples):
        return None
    labels = [sample.gt_label for sample in data_samples]
    if any(label.numel() != 1 for label in labels):
        raise ValueError(
            'an image with several classes cannot be shown by class; '
            'single-label data sets only.'
        )
    return torch.cat([label.view(1) for label in labels]).cpu()


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Turn pixels of 0-1 into 0-255."""
    return np.rint(255 * pixels).astype(np.uint8)
