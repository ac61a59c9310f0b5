"""What a module computes with and its tensors do not show."""

from collections.abc import Mapping

from torch import nn

# What decides the result of a layer beside its tensors, by its name in torch,
# mmcv and MMPretrain.
SETTINGS = (
    *('eps', 'num_heads', 'scale', 'add_identity'),
    *('stride', 'padding', 'dilation'),
)
# They act in training only.
WITHOUT_EFFECT = ('Dropout', 'DropPath', 'Identity')
MAX_SHOWN = 3


def module_settings(module: nn.Module) -> dict[str, str]:
    """Return what tensors do not show, by the names of the sub-modules.

    Two modules with equal tensors and equal settings compute the same: their
    norms have one epsilon, their attention one scale, their layers one
    activation.
    """
    settings = {}
    for name, part in module.named_modules():
        shown = [
            f'{key}={vars(part)[key]}' for key in SETTINGS if key in vars(part)
        ]
        is_function = not list(part.parameters()) and not list(part.children())
        if is_function and type(part).__name__ not in WITHOUT_EFFECT:
            shown = [repr(part)]
        if shown:
            settings[name] = ', '.join(shown)
    return settings


def compare_settings(
    wanted: Mapping[str, str], given: Mapping[str, str]
) -> str:
    """Say where two modules differ, for error messages; empty if nowhere."""
    different = [
        f'{name}: {wanted.get(name)} / {given.get(name)}'
        for name in sorted({*wanted, *given})
        if wanted.get(name) != given.get(name)
    ]
    rest = len(different) - MAX_SHOWN
    shown = '\n  '.join(different[:MAX_SHOWN])
    return f'{shown}\n  ... and {rest} more' if rest > 0 else shown
