"""Checks that methods on one data set are compared on equal terms."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

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
            text = json.dumps(_without_pipelines(value), default=str)
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
    schedulers = cfg.get('param_scheduler') or []
    if not isinstance(schedulers, (list, tuple)):
        schedulers = [schedulers]
    is_trained = is_searched or value_at(cfg, 'optim_wrapper.optimizer.lr')
    if not schedulers or not is_trained:
        return
    place, last = len(schedulers) - 1, schedulers[-1]
    rises = last.get('type') == 'LinearLR' and last.get('end_factor', 1) == 1
    end, epochs = last.get('end'), cfg.train_cfg.max_epochs
    if rises or end is None or not last.get('by_epoch', True):
        return
    if end != epochs:
        raise ValueError(
            f'the schedule of the learning rate ends with epoch {end} '
            f'(param_scheduler.{place}.end), and training with epoch {epochs} '
            '(train_cfg.max_epochs). Set both alike.'
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
    )


def _without_pipelines(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {
            key: _without_pipelines(value)
            for key, value in sorted(part.items())
            if key != 'pipeline'
        }
    if isinstance(part, (list, tuple)):
        return [_without_pipelines(one) for one in part]
    return part
