"""Says when a run ends before its learning rate is reached."""

from mmengine.optim import LinearLR
from mmengine.runner import Runner


def warn_of_unfinished_warm_up(runner: Runner) -> None:
    """Warn of each warm-up that takes longer than the run."""
    schedulers = runner.param_schedulers
    for scheduler in schedulers if isinstance(schedulers, list) else ():
        if not isinstance(scheduler, LinearLR):
            continue
        start, end = scheduler.start_factor, scheduler.end_factor
        unit, length = 'steps', runner.max_iters
        if scheduler.by_epoch:
            unit, length = 'epochs', runner.max_epochs
        if start >= end or scheduler.end <= length:
            continue
        last = max(length - 1 - scheduler.begin, 0)
        reached = start + (end - start) * last / scheduler.total_iters
        runner.logger.warning(
            f'The warm-up of the learning rate takes {scheduler.end} {unit} '
            f'and the run has {length}, so that it ends at {reached:.0%} of '
            'the rate. Set param_scheduler.0.end and param_scheduler.1.begin '
            'lower, or train_cfg.max_epochs higher.'
        )
