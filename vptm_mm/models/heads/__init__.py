from .prototype_verbalizer_head import PrototypeVerbalizerHead

__all__ = ['PrototypeVerbalizerHead']
