"""Finds the model inside the wrappers of a runner."""

from mmengine.model import BaseModel, BaseTTAModel, is_model_wrapper


def unwrap_model(model: BaseModel) -> BaseModel:
    """Return the model itself: without DDP, without test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
