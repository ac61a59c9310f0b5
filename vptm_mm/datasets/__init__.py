from ..image_loader import ImageFileError, LoadCheckedImage
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
    LoadKeptTokens,
)
from .vtab1k import VTAB1k
