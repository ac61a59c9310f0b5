"""Reads a plan from a YAML file, and checks what it says."""

import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..bricks import is_whole
from .plan import (
    Axis,
    DataSet,
    Method,
    Plan,
    check_label,
    check_slugs,
    check_twice,
    find_config,
)
from .search import make_search

MAX_BYTES = 2**20
# What a YAML file may say, at its top and in each entry.
PLAN_KEYS = (
    'name',
    'seeds',
    'search',
    'search_on',
    'cfg_options',
    'methods',
    'datasets',
    'axes',
    '_base_',
)
METHOD_KEYS = ('config', 'cfg_options', 'search')
DATASET_KEYS = ('config', 'cfg_options', 'final', 'group')


def load_plan(path: Path, configs: Path) -> Plan:
    """Read and check a YAML file.

    Keys that it lacks are those of the plan that it names as ``_base_``, and
    so are methods.

    Args:
        path: The file.
        configs: Folder below which configs are looked for, after the working
            directory and the file's own folder.

    Raises:
        FileNotFoundError: If the file, its base or a config is not there.
        ValueError: If the plan is empty or very large, has an alias, is a
            base of its own, or a key or value is wrong.
    """
    folders = (Path(), path.parent, configs)
    try:
        return _make_plan(_read(path), path.stem, folders)
    except FileNotFoundError:
        raise
    except (ValueError, OSError) as error:
        raise ValueError(f'{path}: {error}') from error


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


def _read(path: Path, above: Sequence[Path] = ()) -> dict[str, Any]:
    """Read a file and its base; ``above`` are the plans that it is base of."""
    if not path.is_file():
        raise FileNotFoundError(
            f'no plan at {path.absolute()}'
            + (f', the _base_ of {above[-1]}' if above else '')
            + '; see configs/compare for examples.'
        )
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(
            f'it has {path.stat().st_size:,} bytes, and a plan may have '
            f'{MAX_BYTES:,}; is it another file?'
        )
    try:
        raw = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise ValueError(f'it is no YAML: {error}') from error
    _check_keys('the plan', raw, PLAN_KEYS)
    if '_base_' not in raw:
        return raw
    name = raw.pop('_base_')
    if not isinstance(name, str):
        raise ValueError(
            f'_base_={name!r} must be the path of one plan, from the folder '
            'of this one.'
        )
    base, above = path.parent / name, (*above, path.resolve())
    if base.resolve() in above:
        raise ValueError(
            f'_base_={name!r} leads back to this plan; leave it out of one.'
        )
    try:
        inherited = _read(base, above)
    except ValueError as error:
        raise ValueError(f'_base_={name!r}: {error}') from error
    inherited.pop('name', None)
    methods = raw.get('methods')
    if isinstance(methods, dict) and isinstance(
        inherited.get('methods'), dict
    ):
        raw['methods'] = {**inherited['methods'], **methods}
    return {**inherited, **raw}


class _Loader(yaml.SafeLoader):
    """Refuses repeated keys and aliases, and reads 1e-2 as a number."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        # Aliases of aliases make a few lines as large as they like.
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise ValueError(
                f'line {event.start_mark.line + 1}: the alias '
                f'*{event.anchor} is not read; write out what it stands for.'
            )
        return super().compose_node(parent, index)

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        seen: set[Hashable] = set()
        for key in keys:
            if not isinstance(key, Hashable):
                break  # the parent says so
            if key in seen:
                raise ValueError(
                    f'line {node.start_mark.line + 1}: the name {key!r} is '
                    'there twice; give each entry a name of its own.'
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    'tag:yaml.org,2002:float',
    re.compile(r'^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$'),
    list('-+.0123456789'),
)


def _make_plan(
    raw: dict[str, Any], stem: str, folders: Sequence[Path]
) -> Plan:
    seeds = raw.get('seeds', 5)
    if not is_whole(seeds) or seeds < 1:
        raise ValueError(f'seeds={seeds!r} must be a number >= 1.')
    search = make_search(raw.get('search', 'grow'))
    methods = []
    for name, entry in _entries(raw, 'methods').items():
        entry = dict(config=entry) if isinstance(entry, str) else entry
        _check_keys(f'method {name!r}', entry, METHOD_KEYS)
        if 'config' not in entry:
            raise ValueError(
                f'method {name!r} has no config; give it config: FILE.'
            )
        methods.append(
            Method(
                str(name),
                find_config(
                    _name(f'method {name!r}: config', entry['config']),
                    folders,
                    f'method {name!r}',
                ),
                make_search(entry['search']) if 'search' in entry else search,
                _options(f'method {name!r}', entry),
            )
        )
    datasets = []
    for name, entry in _entries(raw, 'datasets').items():
        entry = entry or {}
        _check_keys(f'data set {name!r}', entry, DATASET_KEYS)
        config = entry.get('config')
        datasets.append(
            DataSet(
                str(name),
                find_config(
                    _name(f'data set {name!r}: config', config),
                    folders,
                    f'data set {name!r}',
                )
                if config
                else None,
                _options(f'data set {name!r}', entry),
                _options(f'data set {name!r}', entry, 'final'),
                _name(f'data set {name!r}: group', entry.get('group', '')),
            )
        )
    check_slugs([dataset.name for dataset in datasets])
    axes, axes_methods = _make_axes(raw.get('axes') or {}, methods)
    study = _name('name', raw.get('name') or stem)
    if not study.strip() or set(study) & set('/\\\0'):
        raise ValueError(
            f'name={study!r} is that of a folder in work_dirs: give one '
            'without / and \\.'
        )
    return Plan(
        name=study,
        methods=tuple(methods),
        datasets=tuple(datasets),
        seeds=seeds,
        search=search,
        search_on=_name('search_on', raw.get('search_on', '')),
        cfg_options=_options('the plan', raw),
        axes=axes,
        axes_methods=axes_methods,
    )


def _make_axes(
    raw: Any, methods: Sequence[Method]
) -> tuple[tuple[Axis, ...], tuple[str, ...]]:
    if not isinstance(raw, dict):
        raise ValueError(
            f'axes={raw!r} must map names to keys and their values; see '
            'configs/compare for examples.'
        )
    names = [method.name for method in methods]
    chosen = raw.get('methods', names)
    if not isinstance(chosen, list):
        raise ValueError(
            f'axes: methods={chosen!r} must be a list, as [{names[0]}].'
        )
    for name in chosen:
        if name not in names:
            raise ValueError(
                f'axes: unknown method {name!r}; the plan has '
                f'{", ".join(names)}.'
            )
    check_twice('method', chosen)
    axes = []
    for name, entry in raw.items():
        if name == 'methods':
            continue
        if not re.fullmatch(r'[\w-]+', str(name)):
            raise ValueError(
                f'axis {name!r} is a part of names of files: use letters, '
                'digits, _ and - only, as in prompt_length.'
            )
        axes.append(Axis(str(name), _make_values(name, entry)))
    return tuple(axes), tuple(chosen)


def _make_values(name: str, entry: Any) -> dict[str, dict[str, Any]]:
    """Read ``{key: [values]}`` or ``{label: {key: value, ...}, ...}``."""
    pairs = list(entry.items()) if isinstance(entry, dict) else []
    ticks: list[tuple[str, dict[str, Any]]] = []
    if len(pairs) == 1 and isinstance(pairs[0][1], list):
        [(key, values)] = pairs
        ticks = [(shown(value), {key: value}) for value in values]
    elif all(isinstance(options, dict) and options for _, options in pairs):
        ticks = [(str(label), options) for label, options in pairs]
    keys = {key for _, options in ticks for key in options}
    if not ticks or not all(isinstance(key, str) for key in keys):
        raise ValueError(
            f'axis {name!r} must be one dotted key and its values, as '
            '{model.backbone.prompt_length: [1, 5, 10]}, or for each label '
            'some keys and their values, as {short: '
            '{model.backbone.prompt_length: 5}, ...}, not '
            f'{entry!r}.'
        )
    check_twice(f'axis {name!r}: value', [label for label, _ in ticks])
    for label, options in ticks:
        check_label(f'axis {name!r}: the label', label)
        _check_names(f'axis {name!r}: {label!r}', options)
    for label, options in ticks:
        if set(options) != keys:
            raise ValueError(
                f'axis {name!r}: {label!r} does not set '
                f'{", ".join(sorted(keys - set(options)))}, as others do; '
                'give each value the same keys.'
            )
    return dict(ticks)


def _name(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f'{what}={value!r} must be one name.')
    return value


def _entries(raw: dict, key: str) -> dict:
    entries = raw.get(key)
    if not entries or not isinstance(entries, dict):
        raise ValueError(
            f'the plan is empty: {key}: has no entry. Give one at least, as '
            'NAME: ...; see configs/compare for examples.'
        )
    return entries


def _options(
    what: str, entry: dict, part: str = 'cfg_options'
) -> dict[str, Any]:
    options = entry.get(part) or {}
    if not isinstance(options, dict):
        raise ValueError(
            f'{what}: {part}={options!r} must map dotted keys to values.'
        )
    _check_names(f'{what}: {part}', options)
    return options


def _check_names(what: str, value: Any) -> None:
    """Require names as keys at any depth, as a config has them."""
    if isinstance(value, dict):
        for key, one in value.items():
            if not isinstance(key, str):
                raise ValueError(
                    f'{what}: {value!r} must map dotted keys to values; '
                    f'{key!r} is no name.'
                )
            _check_names(what, one)
    elif isinstance(value, list):
        for one in value:
            _check_names(what, one)


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
