from .bgr_cifar import BGRCIFAR10, BGRCIFAR100
from .class_folders import count_classes
from .guides import check_data_roots
from .image_files import EXTENSIONS, find_files
from .image_folder import ImageFolder
from .k_shot import KShot
from .n_way import NWay
from .nabirds import NABirds
from .sklearn_digits import SklearnDigits
from .split_check import check_splits
from .stanford_dogs import StanfordDogs
from .train_val_split import TrainValSplit
from .transforms import (
    BlockMaskGenerator,
    LoadCheckedImage,
    LoadKeptTokens,
    TwoViewCrop,
)
from .vtab1k import VTAB1k

__all__ = [
    'BGRCIFAR10',
    'BGRCIFAR100',
    'BlockMaskGenerator',
    'EXTENSIONS',
    'ImageFolder',
    'KShot',
    'LoadCheckedImage',
    'LoadKeptTokens',
    'NABirds',
    'NWay',
    'SklearnDigits',
    'StanfordDogs',
    'TrainValSplit',
    'TwoViewCrop',
    'VTAB1k',
    'check_data_roots',
    'check_splits',
    'count_classes',
    'find_files',
]
