"""Stanford Dogs, in its official folder format."""

from os import path as osp
from typing import Any

from mmpretrain.registry import DATASETS

from .split_dataset import SplitDataset


@DATASETS.register_module()
class StanfordDogs(SplitDataset):
    """Stanford Dogs <http://vision.stanford.edu/aditya86/ImageNetDogs/>.

    20,580 images of 120 breeds: 12,000 train, 8,580 test. They are a part of
    ImageNet.

    The folder holds ``Images/`` with a folder for each breed, such as
    ``n02085620-Chihuahua``, and ``lists/`` with ``train_list.mat`` and
    ``test_list.mat``.

    Args:
        data_root: The folder.
        split: ``'train'`` or ``'test'``.
        **kwargs: As in MMPretrain's ``BaseDataset``.

    Raises:
        ValueError: If ``split`` is neither, or a list is broken.
        FileNotFoundError: If a list or an image is missing.
    """

    NUM_CLASSES = 120

    def __init__(
        self, data_root: str, split: str = 'train', **kwargs: Any
    ) -> None:
        super().__init__(
            split,
            data_root,
            ann_file=osp.join('lists', f'{split}_list.mat'),
            data_prefix='Images',
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Return one dict an image: ``img_path`` and ``gt_label``."""
        # Not at the top: it would slow every start.
        from scipy.io import loadmat

        try:
            content = loadmat(self.ann_file, squeeze_me=True)
            pairs = zip(content['file_list'], content['labels'], strict=True)
            images = [(str(path), int(label) - 1) for path, label in pairs]
        except FileNotFoundError:
            raise
        except Exception as error:  # a damaged file raises nearly anything
            raise ValueError(
                f'{self.ann_file} is not a list of Stanford Dogs: '
                f'{type(error).__name__}: {error}. Download it again.'
            ) from error
        breeds = sorted({(label, osp.dirname(path)) for path, label in images})
        folders = [folder for _, folder in breeds]
        if len(set(folders)) != self.NUM_CLASSES or [
            label for label, _ in breeds
        ] != [*range(self.NUM_CLASSES)]:
            raise ValueError(
                f'{self.ann_file} does not give each of {len(set(folders))} '
                'folders a label of its own; Stanford Dogs has '
                f'{self.NUM_CLASSES} of both. Download it again.'
            )
        # n02085620-Chihuahua, n02086240-Shih-Tzu
        self.name_classes([one.partition('-')[2] or one for one in folders])
        return self.make_list(images, self.ann_file)
