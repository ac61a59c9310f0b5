"""Checks that the data loaders of a run share no image."""

import inspect
import json
from collections.abc import Container, Iterator, Mapping
from itertools import combinations, product
from os import path as osp
from typing import Any, NamedTuple

from mmpretrain.registry import DATASETS

from .draws import kind_of

# Official splits that are the union of others.
UNIONS = {
    'train800val200': ('train800', 'val200'),
    'trainval': ('train', 'val'),
}
# Wrappers that read all images of the data sets in them.
WRAPPERS = ('ClassBalancedDataset', 'ConcatDataset', 'RepeatDataset')
# What takes a part of the images, and the arguments that decide where.
CUTTERS = {
    'ImageFolder': ('val_fraction', 'test_fraction', 'seed'),
    'KFoldDataset': ('fold', 'num_splits', 'seed'),
    'KShot': ('shots', 'seed'),
    'NWay': ('ways', 'seed'),
    'TrainValSplit': ('val_fraction', 'seed'),
}
# What names a cutter's part, where it is not ``part``.
PARTS = {'KFoldDataset': 'test_mode'}
# Data sets whose ``test_mode`` decides what is read, if no split is written.
BY_TEST_MODE = ('FashionMNIST', 'MNIST')
# Other names for the same images.
SAME_IMAGES = {'BGRCIFAR10': 'CIFAR10', 'BGRCIFAR100': 'CIFAR100'}
# Arguments that say how images are read, not which.
READING = {
    'backend_args',
    'classes',
    'download',
    'lazy_init',
    'max_refetch',
    'metainfo',
    'pipeline',
    'serialize_data',
    'with_label',
}
# Hooks that choose by validation, beside ``save_best``.
CHOOSERS = ('BestCheckpointTestHook', 'EarlyStoppingHook')


class Step(NamedTuple):
    """One of the steps in which the images of a data loader are chosen.

    Args:
        text: The step in words; empty if there is nothing to say.
        cut: What divides the images; equal cuts divide them equally.
        parts: The parts that are taken; None if they have no names.
    """

    text: str
    cut: Any
    parts: frozenset | None = None


def check_splits(cfg: Mapping[str, Any], loaders: tuple[str, ...]) -> None:
    """Refuse data loaders that share images.

    Their configs are compared, not their images: two folders are taken for
    different ones, whatever is in them.

    Args:
        cfg: The merged config.
        loaders: Names of the data loaders that the run will read.

    Raises:
        ValueError: If two of them read the same images, or parts of them that
            were not cut alike; or if they draw different classes. Validation
            on the test images is one only if something is chosen by it.
    """
    _check_classes(cfg, loaders)
    chosen = {
        name: list(trace_images((cfg.get(name) or {}).get('dataset')))
        for name in loaders
    }
    for first, second in combinations(loaders, 2):
        if 'train_dataloader' not in (first, second) and not _chooses(cfg):
            continue
        for one, other in product(chosen[first], chosen[second]):
            if _share_images(one, other):
                raise ValueError(
                    f'{first} and {second} share images: the one reads '
                    f'{_describe(one)}, the other {_describe(other)}. '
                    f'{_advise(first, second)}'
                )


def trace_images(dataset: Any) -> Iterator[list[Step]]:
    """Name the steps from each list of images to what is read of it.

    Args:
        dataset: Config of a data set. How it reads images does not count.
    """
    if not isinstance(dataset, Mapping) or 'type' not in dataset:
        return
    kind = kind_of(dataset)
    if kind in WRAPPERS:
        for inner in dataset.get('datasets', [dataset.get('dataset')]):
            yield from trace_images(inner)
    elif kind in CUTTERS and 'dataset' in dataset:
        for steps in trace_images(dataset['dataset']):
            yield [*steps, _cut(dataset, PARTS.get(kind, 'part'))]
    else:
        yield [
            Step('', _images(dataset)),
            _cut(dataset, 'split'),
            _take(dataset.get('indices')),
        ]


def _chooses(cfg: Mapping[str, Any]) -> bool:
    """Whether a run chooses anything by its validation."""
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    hooks = cfg.get('custom_hooks') or []
    return bool(checkpoint.get('save_best')) or any(
        kind_of(hook) in CHOOSERS for hook in hooks
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


def _images(dataset: Mapping[str, Any]) -> str:
    """Return what tells one list of images from another, as text."""
    kind = kind_of(dataset)
    ignored = {'split', 'indices', *CUTTERS.get(kind, ())}
    if 'split' in dataset or kind not in BY_TEST_MODE:
        ignored.add('test_mode')
    defaults = _defaults(dataset)
    images = {
        key: value
        for key, value in dataset.items()
        if key not in ignored
        and not (key in defaults and defaults[key] == value)
    }
    if isinstance(images.get('data_root'), str):
        images['data_root'] = osp.realpath(osp.expanduser(images['data_root']))
    prefix = images.get('data_prefix')
    if isinstance(prefix, Mapping) and list(prefix) == ['img_path']:
        prefix = prefix['img_path']
    if isinstance(prefix, str):
        images['data_prefix'] = osp.normpath(prefix)
    images['type'] = SAME_IMAGES.get(kind, kind)
    return json.dumps(_without_reading(images), sort_keys=True, default=str)


def _cut(dataset: Mapping[str, Any], key: str) -> Step:
    """Return the step that takes what ``key`` names of a data set."""
    kind = kind_of(dataset)
    where = {name: _value(dataset, name) for name in CUTTERS.get(kind, ())}
    part = _value(dataset, key)
    parts = UNIONS.get(str(part), (str(part),))
    shown = {'data_root': dataset.get('data_root'), key: part, **where}
    text = ', '.join(
        f'{name}={value!r}'
        for name, value in shown.items()
        if value is not None
    )
    return Step(
        f'{kind}({text})',
        (SAME_IMAGES.get(kind, kind), where),
        None if part is None else frozenset(parts),
    )


def _take(indices: Any) -> Step:
    """Return the step that takes some images, or all, by their number."""
    if indices is None:
        return Step('', 'indices')
    taken = indices
    if isinstance(indices, int):
        taken = range(indices) if indices >= 0 else range(indices, 0)
    return Step(f'indices={indices!r:.40}', 'indices', frozenset(taken))


def _value(dataset: Mapping[str, Any], key: str) -> Any:
    """Return an argument, or its default."""
    if key in dataset:
        return dataset[key]
    return _defaults(dataset).get(key)


def _defaults(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of what builds a data set."""
    kind = dataset['type']
    builder = DATASETS.get(kind) if isinstance(kind, str) else kind
    parameters = inspect.signature(builder).parameters if builder else {}
    return {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


def _share_images(one: list[Step], other: list[Step]) -> bool:
    if one[0] != other[0]:  # lists of images that cannot be compared
        return False
    for mine, yours in zip(one, other, strict=False):
        if mine.cut != yours.cut:
            return True
        if mine.parts == yours.parts:
            continue
        # All of them, if one has none.
        return not (mine.parts and yours.parts) or bool(
            mine.parts & yours.parts
        )
    return True


def _describe(steps: list[Step]) -> str:
    return ' of '.join(step.text for step in reversed(steps) if step.text)


def _advise(first: str, second: str) -> str:
    advice = 'Give each its own part, cut alike in both'
    if 'val_dataloader' not in (first, second):
        return f'{advice}.'
    advice += ' (TrainValSplit), or leave validation out: --no-validate.'
    if 'test_dataloader' in (first, second):
        return f'The best checkpoint would be chosen by the test. {advice}'
    return advice


def _without_reading(part: Any) -> Any:
    """Leave out how images are read, at any depth."""
    if isinstance(part, Mapping):
        return {
            key: _without_reading(value)
            for key, value in part.items()
            if key not in READING
        }
    if isinstance(part, (list, tuple)):
        return [_without_reading(one) for one in part]
    return part
