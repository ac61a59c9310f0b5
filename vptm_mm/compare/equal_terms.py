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
# Arguments of a data set that say how images are read, not which.
READING = {
    'backend_args',
    'lazy_init',
    'max_refetch',
    'pipeline',
    'serialize_data',
}


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


def value_at(cfg: Config, key: str) -> Any:
    """Return what a dotted key names; None if there is nothing."""
    value: Any = cfg
    for part in key.split('.'):
        is_section = isinstance(value, (Config, Mapping))
        value = value.get(part) if is_section else None
    return value


def overlap(key: str, other: str) -> bool:
    """Whether one of two dotted keys names the other, or a part above it."""
    return f'{key}.'.startswith(f'{other}.') or other.startswith(f'{key}.')


def _sets(method: Method, key: str) -> bool:
    return any(
        overlap(own, key)
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
