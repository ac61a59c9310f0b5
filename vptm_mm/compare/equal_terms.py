"""Checks that methods on one data set are compared on equal terms."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from ..datasets.subsets import kind_of
from .plan import Method

# What is to be equal unless a method itself says otherwise.
TERMS = (
    'train_cfg.max_epochs',
    'train_dataloader.batch_size',
    'model.backbone.init_cfg.checkpoint',
    'train_dataloader.dataset',
)
# What is to be equal in any case.
IMAGES = ('val_dataloader.dataset', 'test_dataloader.dataset')
# Arguments of a data set that say how images are read, not which.
READING = {
    'backend_args',
    'lazy_init',
    'max_refetch',
    'pipeline',
    'serialize_data',
}
# Schedules that do not fall to an end of their own.
ENDLESS = ('ConstantLR', 'MultiStepLR', 'QuadraticWarmupLR', 'StepLR')
RISING = ('LinearLR',)


def check_terms(
    dataset: str, methods: Sequence[Method], configs: Sequence[Config]
) -> None:
    """Compare epochs, batches, weights and images of methods.

    How images are read is each method's own affair.

    Args:
        dataset: Name of the data set.
        methods: What is compared on it.
        configs: The config of each.

    Raises:
        ValueError: If methods differ in what none of them sets itself, or are
            validated or tested on different images.
    """
    for key in TERMS + IMAGES:
        names: dict[str, list[str]] = {}
        for method, cfg in zip(methods, configs, strict=True):
            value = value_at(cfg, key)
            if value is None or (key in TERMS and _sets(method, key)):
                continue
            text = json.dumps(_without_reading(value), default=str)
            names.setdefault(text, []).append(method.name)
        if len(names) > 1:
            shown = '; '.join(
                f'{text} of {", ".join(map(repr, those))}'
                for text, those in names.items()
            )
            raise ValueError(
                f'data set {dataset!r}: methods differ in {key}: {shown}. '
                'Set it alike in cfg_options of the plan, or give the data '
                'set a config'
                + (
                    '; what is meant to differ, cfg_options of the method say.'
                    if key in TERMS
                    else '.'
                )
            )


def check_schedule(cfg: Config, is_searched: bool) -> None:
    """Require that the learning rate's schedule ends with training.

    Args:
        cfg: The config.
        is_searched: Whether its learning rate is replaced by others.

    Raises:
        ValueError: If it ends before or after.
    """
    schedulers = _schedulers(cfg)
    is_trained = is_searched or value_at(cfg, 'optim_wrapper.optimizer.lr')
    if not schedulers or not is_trained:
        return
    ends = {
        place: scheduler['end']
        for place, scheduler in enumerate(schedulers)
        if _falls(scheduler) and scheduler.get('end') is not None
    }
    if not ends:
        return
    place = max(ends, key=lambda place: ends[place])
    epochs = cfg.train_cfg.max_epochs
    if ends[place] != epochs:
        raise ValueError(
            'the schedule of the learning rate ends with epoch '
            f'{ends[place]} (param_scheduler.{place}.end), and training with '
            f'epoch {epochs} (train_cfg.max_epochs). Leave the first out: it '
            'follows.'
        )


def check_final_schedule(cfg: Config) -> None:
    """Refuse a schedule that waits for validation where there is none.

    Args:
        cfg: The config of a final run.

    Raises:
        ValueError: If it does.
    """
    for scheduler in _schedulers(cfg):
        kind = kind_of(scheduler)
        if cfg.get('val_dataloader') is None and kind.startswith('ReduceOn'):
            raise ValueError(
                f'{kind} lowers the rate by validation, and final runs of '
                'this data set have none (final). Take another schedule.'
            )


def _schedulers(cfg: Config) -> list[Any]:
    schedulers = cfg.get('param_scheduler') or []
    is_one = not isinstance(schedulers, (list, tuple))
    return [schedulers] if is_one else list(schedulers)


def _falls(scheduler: Mapping[str, Any]) -> bool:
    """Whether it lowers the learning rate until an epoch of its own."""
    kind = kind_of(scheduler)
    rises = kind in RISING and scheduler.get('end_factor', 1) == 1
    return (
        kind.endswith('LR')
        and kind not in ENDLESS
        and not rises
        and scheduler.get('by_epoch', True)
    )


def value_at(cfg: Config, key: str) -> Any:
    """Return what a dotted key names; None if there is nothing."""
    value: Any = cfg
    for part in key.split('.'):
        is_section = isinstance(value, (Config, Mapping))
        value = value.get(part) if is_section else None
    return value


def _sets(method: Method, key: str) -> bool:
    return any(
        f'{own}.'.startswith(f'{key}.') or key.startswith(f'{own}.')
        for own in method.cfg_options
        if 'pipeline' not in own.split('.')
    )


def _without_reading(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {
            key: _without_reading(value)
            for key, value in sorted(part.items())
            if key not in READING
        }
    if isinstance(part, (list, tuple)):
        return [_without_reading(one) for one in part]
    return part
