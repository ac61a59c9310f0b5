"""Reads a plan from a YAML file, and checks what it says."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from ..nn import is_int
from .plan import (
    Axis,
    DataSet,
    Method,
    Plan,
    find_config,
)
from .search import Search, make_search

# What a file may say, at its top and in each entry, and of which kind it is.
PLAN: dict[str, type] = dict(
    name=str,
    seeds=object,
    search=object,
    search_on=str,
    cfg_options=dict,
    methods=dict,
    datasets=dict,
    axes=dict,
)
METHOD: dict[str, type] = dict(config=str, cfg_options=dict, search=object)
DATASET: dict[str, type] = dict(
    config=str, cfg_options=dict, final=dict, group=str
)
KINDS: dict[type, str] = {str: 'be one name', dict: 'map names to values'}
# YAML 1.1 has 1e-2 as text.
NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+')


def load_plan(path: Path, configs: Path) -> Plan:
    """Read and check a YAML file, as mmengine reads configs.

    It is merged into the plan that it names as ``_base_``, of which it has
    all but the name.

    Args:
        path: The file.
        configs: Folder below which configs are looked for, after the working
            directory and the file's own folder.

    Raises:
        FileNotFoundError: If the file, its base or a config is not there.
        ValueError: If the plan is empty, or a key or value is wrong.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'no plan at {path.absolute()}; see configs/compare for examples.'
        )
    try:
        own = yaml.safe_load(path.read_text(encoding='utf-8'))
        _check_keys('the plan', own, [*PLAN, '_base_'])
        raw = _numbers(Config.fromfile(path).to_dict())
        raw['name'] = own.get('name')
        return _make_plan(raw, path.stem, (Path(), path.parent, configs))
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path}: {error}') from error
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ValueError(f'{path}: {error}') from error
    except yaml.YAMLError as error:
        raise ValueError(f'{path} is not YAML: {error}') from error


def shown(value: Any) -> str:
    """Return a value as a tick label: runs of integers as ``0-5``."""
    if not isinstance(value, (list, tuple)):
        return str(value)
    values = list(value)
    if not values:
        return 'none'
    if len(values) > 2 and all(isinstance(one, int) for one in values):
        first = values[0]
        if values == list(range(first, first + len(values))):
            return f'{first}-{values[-1]}'
    return ', '.join(map(str, values))


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    is_number = isinstance(value, str) and NUMBER.fullmatch(value)
    return float(value) if is_number else value


def _make_plan(
    raw: dict[str, Any], stem: str, folders: Sequence[Path]
) -> Plan:
    plan = _checked('the plan', raw, PLAN)
    for part in ('methods', 'datasets'):
        if not plan.get(part):
            raise ValueError(
                f'the plan is empty: {part}: has no entry. Give one at least, '
                'as NAME: ...; see configs/compare for examples.'
            )
    seeds = plan.pop('seeds', 5)
    if not is_int(seeds) or seeds < 1:
        raise ValueError(f'seeds={seeds!r} must be a number >= 1.')
    search = make_search(plan.pop('search', 'grow'))
    methods = [
        _make_method(one, entry, search, folders)
        for one, entry in plan.pop('methods').items()
    ]
    datasets = [
        _make_dataset(one, entry or {}, folders)
        for one, entry in plan.pop('datasets').items()
    ]
    axes = plan.pop('axes', {})
    names = [method.name for method in methods]
    chosen = axes.pop('methods', None) or names
    for one in chosen:
        if one not in names:
            raise ValueError(
                f'axes: unknown method {one!r}; the plan has '
                f'{", ".join(names)}.'
            )
    return Plan(
        name=plan.pop('name', stem),
        methods=tuple(methods),
        datasets=tuple(datasets),
        seeds=seeds,
        search=search,
        axes=tuple(_make_axis(*pair) for pair in axes.items()),
        axes_methods=tuple(chosen),
        **plan,
    )


def _make_method(
    name: str, entry: Any, search: Search, folders: Sequence[Path]
) -> Method:
    what = f'method {name!r}'
    entry = dict(config=entry) if isinstance(entry, str) else entry
    fields = _checked(what, entry, METHOD)
    if 'config' not in fields:
        raise ValueError(f'{what} has no config; give it config: FILE.')
    fields['config'] = find_config(fields['config'], folders, what)
    if 'search' in fields:
        search = make_search(fields['search'])
    return Method(name, **{**fields, 'search': search})


def _make_dataset(name: str, entry: Any, folders: Sequence[Path]) -> DataSet:
    what = f'data set {name!r}'
    fields = _checked(what, entry, DATASET)
    if 'config' in fields:
        fields['config'] = find_config(fields['config'], folders, what)
    return DataSet(name, **fields)


def _make_axis(name: str, entry: Any) -> Axis:
    """Read ``{key: [values]}`` or ``{label: {key: value, ...}, ...}``."""
    if not re.fullmatch(r'[\w-]+', name):
        raise ValueError(
            f'axis {name!r} is a part of names of files: use letters, '
            'digits, _ and - only, as in prompt_length.'
        )
    pairs = list(entry.items()) if isinstance(entry, dict) else []
    ticks: list[tuple[str, dict[str, Any]]] = []
    if len(pairs) == 1 and isinstance(pairs[0][1], list):
        [(key, values)] = pairs
        ticks = [(shown(value), {str(key): value}) for value in values]
    elif all(isinstance(options, dict) and options for _, options in pairs):
        ticks = [(str(label), options) for label, options in pairs]
    if not ticks:
        raise ValueError(
            f'axis {name!r}: {entry!r} must be one dotted key and its values, '
            'as {model.backbone.prompt_length: [1, 5]}, or for each label '
            'keys and values, as {short: {model.backbone.prompt_length: 1}}.'
        )
    keys = {key for _, options in ticks for key in options}
    for label, options in ticks:
        if missing := keys - set(options):
            raise ValueError(
                f'axis {name!r}: {label!r} does not set '
                f'{", ".join(map(str, missing))}, as others do.'
            )
    return Axis(name, dict(ticks))


def _check_keys(what: str, entry: Any, allowed: Sequence[str]) -> None:
    if not isinstance(entry, dict):
        raise ValueError(
            f'{what} must be a mapping with the keys {", ".join(allowed)}, '
            f'not {entry!r}.'
        )
    for key in entry:
        if key not in allowed:
            raise ValueError(
                f'{what}: unknown key {key!r}; keys are {", ".join(allowed)}.'
            )


def _checked(what: str, entry: Any, kinds: dict[str, type]) -> dict[str, Any]:
    """Return an entry without what is blank, names as text."""
    _check_keys(what, entry, list(kinds))
    fields = {key: value for key, value in entry.items() if value is not None}
    for key, value in fields.items():
        if not isinstance(value, kinds[key]):
            raise ValueError(
                f'{what}: {key}={value!r} must {KINDS[kinds[key]]}.'
            )
        if isinstance(value, dict):
            fields[key] = {str(name): one for name, one in value.items()}
    return fields
