"""What is frozen and what is ours to train."""

from torch import nn


def freeze(module: nn.Module) -> None:
    """Take a module out of training: no gradients, ``eval()``.

    A parent's ``train()`` switches ``eval()`` off again; the parent has to
    call ``module.eval()`` after it, as ``FeatureTeacher.train`` does.
    """
    module.requires_grad_(False)
    module.eval()


def trainable_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that training changes, by name.

    The optimizer, the printed counts and the tests all ask this function.
    """
    return {
        name: parameter
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }
