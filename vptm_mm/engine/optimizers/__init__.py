from .tuned_constructor import TunedOptimWrapperConstructor

__all__ = ['TunedOptimWrapperConstructor']
