"""Finds the model inside the wrappers of a runner."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.hooks import EMAHook
from mmengine.model import BaseModel, BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner


def unwrap_model(model: BaseModel) -> BaseModel:
    """Return the model itself: without DDP, without test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


@contextmanager
def validated_model(runner: Runner) -> Iterator[BaseModel]:
    """Give the model the weights that are validated, for the time being.

    With ``EMAHook`` these are averages, which checkpoints hold, too.
    """
    hooks = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    for hook in hooks:
        hook.before_val_epoch(runner)
    try:
        yield unwrap_model(runner.model)
    finally:
        for hook in hooks:
            hook.after_val_epoch(runner)
