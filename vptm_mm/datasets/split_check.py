"""Checks that splits are cut alike, so that they share no image."""

import inspect
import json
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

from .draws import kind_of
from .image_folder import ImageFolder
from .train_val_split import TrainValSplit

# What cuts, and the arguments that decide where.
CUTTERS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    'TrainValSplit': (TrainValSplit, ('val_fraction', 'seed')),
    'ImageFolder': (ImageFolder, ('val_fraction', 'test_fraction', 'seed')),
}


def check_splits(cfg: Mapping[str, Any], loaders: tuple[str, ...]) -> None:
    """Compare how the data loaders of a run cut the same images.

    Args:
        cfg: The merged config.
        loaders: Names of the data loaders that the run will read.

    Raises:
        ValueError: If two of them cut in different places: images of the one
            would be in the other; or if they draw different classes.
    """
    _check_classes(cfg, loaders)
    seen: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in loaders:
        for dataset in _find(cfg.get(name) or {}, CUTTERS):
            images, cut = _describe(dataset)
            first, other = seen.setdefault(images, (name, cut))
            for key, value in cut.items():
                if value != other[key]:
                    raise ValueError(
                        f'{first} and {name} cut {dataset["type"]} by '
                        f'different {key}, {other[key]!r} and {value!r}, so '
                        'they would share images. Set it alike in all data '
                        'loaders.'
                    )


def _check_classes(cfg: Mapping[str, Any], loaders: tuple[str, ...]) -> None:
    """Require the same classes, under the same numbers, everywhere."""
    draws = {
        name: {
            (repr(one.get('ways')), repr(one.get('seed', 0)))
            for one in _find(cfg[name], ('NWay',))
        }
        for name in loaders
        if cfg.get(name) is not None
    }
    every = set().union(*draws.values())
    if len(every) > 1 or any(draw != every for draw in draws.values()):
        shown = (
            f'{name} {" and ".join(map(", ".join, sorted(draw))) or "all"}'
            for name, draw in draws.items()
        )
        raise ValueError(
            'data loaders draw different classes by NWay (ways, seed): '
            f'{"; ".join(shown)}. Set both alike in all of them.'
        )


def _find(part: Any, kinds: Container[str]) -> Iterator[Mapping[str, Any]]:
    """Name the configs of data sets of some kinds, wherever they stand."""
    if isinstance(part, (list, tuple)):
        for one in part:
            yield from _find(one, kinds)
    elif isinstance(part, Mapping):
        if kind_of(part) in kinds:
            yield part
        for one in part.values():
            yield from _find(one, kinds)


def _describe(dataset: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return which images are cut, and where."""
    cutter, keys = CUTTERS[kind_of(dataset)]
    defaults = inspect.signature(cutter).parameters
    cut = {key: dataset.get(key, defaults[key].default) for key in keys}
    inner = dataset.get('dataset', dataset)
    # Fewer images, or classes, are cut elsewhere.
    cut['NWay'] = None
    while kind_of(inner) == 'NWay':
        cut['NWay'] = inner.get('ways')
        inner = inner['dataset']
    if inner is not dataset:
        cut['indices'] = inner.get('indices')
    ignored = {*keys, 'pipeline', 'indices', 'split', 'part'}
    images = {key: value for key, value in inner.items() if key not in ignored}
    return json.dumps(images, sort_keys=True, default=str), cut
