"""Checks that splits are cut alike, so that they share no image."""

import inspect
import json
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

from .draws import DRAWS, kind_of
from .image_folder import ImageFolder
from .train_val_split import TrainValSplit

# Official splits that are the union of others.
UNIONS = {
    'train800val200': ('train800', 'val200'),
    'trainval': ('train', 'val'),
}
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
            would be in the other; if they draw different classes; or if
            training reads a union of splits of which another reads a part.
    """
    _check_classes(cfg, loaders)
    _check_unions(cfg, loaders)
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


def _check_unions(cfg: Mapping[str, Any], loaders: tuple[str, ...]) -> None:
    """Refuse to choose or test on images that are trained on."""
    train = _innermost(cfg.get('train_dataloader'))
    parts = UNIONS.get(str(train.get('split')), ())
    for name in loaders:
        other = _innermost(cfg.get(name))
        if kind_of(other) == kind_of(train) and other.get('split') in parts:
            raise ValueError(
                f'train_dataloader reads split={train["split"]!r}, which '
                f'holds the images of split={other["split"]!r} of {name}. '
                'Train on the other part, or leave validation out: '
                '--no-validate.'
            )


def _innermost(loader: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the data set that a loader's wrappers read from."""
    dataset = (loader or {}).get('dataset') or {}
    while isinstance(dataset, Mapping) and dataset.get('dataset'):
        dataset = dataset['dataset']
    return dataset if isinstance(dataset, Mapping) else {}


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
    cut.update(dict.fromkeys(DRAWS))
    while kind_of(inner) in DRAWS:
        number = inner.get('shots', inner.get('ways'))
        cut[kind_of(inner)] = (number, inner.get('seed', 0))
        inner = inner['dataset']
    if inner is not dataset:
        cut['indices'] = inner.get('indices')
    ignored = {*keys, 'indices', 'split', 'part'}
    images = {key: value for key, value in inner.items() if key not in ignored}
    text = json.dumps(_without_pipelines(images), sort_keys=True, default=str)
    return text, cut


def _without_pipelines(part: Any) -> Any:
    """Leave out how images are read, at any depth."""
    if isinstance(part, Mapping):
        return {
            key: _without_pipelines(value)
            for key, value in part.items()
            if key != 'pipeline'
        }
    if isinstance(part, (list, tuple)):
        return [_without_pipelines(one) for one in part]
    return part
