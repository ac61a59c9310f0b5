from .cifar import BGRCIFAR10, BGRCIFAR100
from .digits import SklearnDigits
from .guides import check_data_roots
from .image_folder import ImageFolder, count_classes
from .nabirds import NABirds
from .split_check import check_splits
from .stanford_dogs import StanfordDogs
from .subsets import KShot, NWay, TrainValSplit
from .transforms import (
    BlockMaskGenerator,
    ImageFileError,
    LoadCheckedImage,
    LoadKeptTokens,
)
from .vtab1k import VTAB1k

__all__ = [
    'BGRCIFAR10',
    'BGRCIFAR100',
    'BlockMaskGenerator',
    'ImageFileError',
    'ImageFolder',
    'KShot',
    'LoadCheckedImage',
    'LoadKeptTokens',
    'NABirds',
    'NWay',
    'SklearnDigits',
    'StanfordDogs',
    'TrainValSplit',
    'VTAB1k',
    'check_data_roots',
    'check_splits',
    'count_classes',
]
