from .unfinished_schedules import warn_of_unfinished_schedules
from .warm_up_lr import WarmUpLR

__all__ = ['WarmUpLR', 'warn_of_unfinished_schedules']
