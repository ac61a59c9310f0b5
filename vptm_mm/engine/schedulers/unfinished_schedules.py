"""Says when a run and its schedules end at different times."""

from mmengine.optim import LinearLR
from mmengine.runner import Runner


def warn_of_unfinished_schedules(runner: Runner) -> None:
    """Warn of each schedule that takes longer than the run.

    And of a last one that has fallen to its end before the run ends, as of a
    config that names its end: what follows trains at that rate, often 0.
    """
    schedulers = runner.param_schedulers
    if not isinstance(schedulers, list):
        return
    last = max(reversed(schedulers), key=lambda one: one.end, default=None)
    for number, scheduler in enumerate(schedulers):
        unit, length = 'steps', runner.max_iters
        if scheduler.by_epoch:
            unit, length = 'epochs', runner.max_epochs
        start = getattr(scheduler, 'start_factor', 1)
        end = getattr(scheduler, 'end_factor', 1)
        falls = hasattr(scheduler, 'eta_min') or start > end
        if scheduler is last and falls and last.end < length:
            runner.logger.warning(
                f'param_scheduler.{number} ends after {last.end} of {length} '
                f'{unit}; the rest trains at the rate that it ends with. '
                'Leave its end out: it then ends with the run.'
            )
        if scheduler.end <= length:
            continue
        if not isinstance(scheduler, LinearLR) or start >= end:
            runner.logger.warning(
                f'param_scheduler.{number} takes {scheduler.end} {unit} and '
                f'the run has {length}. Leave its end out: it then ends with '
                'the run.'
            )
            continue
        last = max(length - 1 - scheduler.begin, 0)
        reached = start + (end - start) * last / max(scheduler.total_iters, 1)
        runner.logger.warning(
            f'The warm-up of the learning rate takes {scheduler.end} {unit} '
            f'and the run has {length}, so that it ends at {reached:.0%} of '
            f'the rate. Set param_scheduler.{number}.end lower, and the begin '
            'of the one after it, or train_cfg.max_epochs higher.'
        )
