from .unfinished_warm_up import warn_of_unfinished_warm_up
from .warm_up_lr import WarmUpLR

__all__ = ['WarmUpLR', 'warn_of_unfinished_warm_up']
