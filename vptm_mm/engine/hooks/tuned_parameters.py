"""Prints what training changes."""

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ...bricks import tuned_parameters
from ..unwrap import unwrap_model


@HOOKS.register_module()
class TunedParametersHook(Hook):
    """Log the tuned parameters once: names, counts, share of all, bytes."""

    def before_train(self, runner: Runner) -> None:
        """Write the table to the log."""
        model = unwrap_model(runner.model)
        tuned = tuned_parameters(model)
        count = sum(p.numel() for p in tuned.values())
        size = sum(p.numel() * p.element_size() for p in tuned.values())
        total = sum(p.numel() for p in model.parameters())
        width = max(map(len, tuned), default=0)
        lines = [
            f'  {name:<{width}}  {p.numel():>10,}  {tuple(p.shape)}'
            for name, p in tuned.items()
        ]
        runner.logger.info(
            'Tuned parameters:\n'
            + '\n'.join(lines)
            + f'\n  {count:,} of {total:,} parameters '
            f'({count / total:.3%}), {size / 1e3:,.1f} kB'
        )
