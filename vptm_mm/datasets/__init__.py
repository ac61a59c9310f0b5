from .guides import check_data_roots
from .sklearn_digits import SklearnDigits
from .train_val_split import TrainValSplit
from .transforms import BlockMaskGenerator

__all__ = [
    'BlockMaskGenerator',
    'SklearnDigits',
    'TrainValSplit',
    'check_data_roots',
]
