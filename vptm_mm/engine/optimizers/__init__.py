from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .tuned_constructor import TunedOptimWrapperConstructor

__all__ = ['BFloat16OptimWrapper', 'TunedOptimWrapperConstructor']
