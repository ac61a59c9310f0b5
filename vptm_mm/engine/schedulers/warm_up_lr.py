"""A warm-up of the learning rate that may be a single step."""

from mmengine.optim import LinearLR
from mmpretrain.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmUpLR(LinearLR):
    """The host's ``LinearLR``, which reaches its rate in one step, too.

    The host's has ``start_factor`` at its first step and ``end_factor`` at its
    last one. Where these are the same step it keeps ``start_factor``, and what
    comes after it, as a cosine, goes on from there. Of two steps or more the
    rates are the host's.

    Arguments are those of ``LinearLR``.
    """

    def _get_value(self) -> list[float]:
        if self.end - self.begin == 1:
            return [
                group[self.param_name] * self.end_factor
                for group in self.optimizer.param_groups
            ]
        return super()._get_value()
