"""A plan: which methods, on which data sets, searched how; read from YAML."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from ..model_index import config_path
from ..nn import is_int
from .search import Search, make_search

# What a file may say, at its top and in each entry.
PLAN = (
    'name',
    'seeds',
    'search',
    'search_on',
    'cfg_options',
    'methods',
    'datasets',
    'axes',
)
METHOD = ('config', 'cfg_options', 'search', 'own_model')
DATASET = ('config', 'cfg_options', 'final', 'group')
NUM_CLASSES = 'model.head.num_classes'
# YAML 1.1 has 1e-2 as text.
NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+')


@dataclass(frozen=True)
class Method:
    """What is compared.

    Args:
        name: As tables and plots show it.
        config: Its config file.
        search: How its hyper-parameters are searched.
        cfg_options: Changed keys of the config.
        own_model: Whether its model is not that of the others, as a network
            from scratch: what is said of the model of all is not for it.
    """

    name: str
    config: Path
    search: Search
    cfg_options: dict[str, Any] = field(default_factory=dict)
    own_model: bool = False

    def takes(self, key: str) -> bool:
        """Whether an option for all methods is for this one, too."""
        is_of_model = key.split('.')[0] == 'model' and key != NUM_CLASSES
        return not (self.own_model and is_of_model)


@dataclass(frozen=True)
class DataSet:
    """What the methods are compared on.

    Args:
        name: As tables and plots show it.
        config: A config whose data loaders and evaluators replace those of
            the method, its preprocessor merged; None for the method's own.
        cfg_options: Changed keys of the config.
        final: Keys that change after the search. If there are any, final runs
            validate on nothing, and their last checkpoint is tested.
        group: Name of the group whose mean the table has, too; empty for
            none.
    """

    name: str
    config: Path | None = None
    cfg_options: dict[str, Any] = field(default_factory=dict)
    final: dict[str, Any] = field(default_factory=dict)
    group: str = ''


@dataclass(frozen=True)
class Axis:
    """What of the config changes along a line of a plot.

    Args:
        name: As plots show it.
        values: Changed keys of the config for each tick, by its label.
    """

    name: str
    values: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """All that a comparison is to measure.

    Args:
        name: Name of the study.
        methods: What is compared.
        datasets: What it is compared on.
        seeds: Final runs of each method on each data set: seeds 0 to
            ``seeds - 1``.
        search_on: Name of the data set whose search chooses for all of them;
            empty for a search on each.
        cfg_options: Changed keys of every config.
        overrides: Changed keys that come after those of data sets and
            methods.
        axes: Robustness axes.
    """

    name: str
    methods: tuple[Method, ...]
    datasets: tuple[DataSet, ...]
    seeds: int = 5
    search_on: str = ''
    cfg_options: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    axes: tuple[Axis, ...] = ()


def load_plan(path: Path, configs: Path, **changes: Any) -> Plan:
    """Read and check a YAML file, as mmengine reads configs.

    It is merged into the plan that it names as ``_base_``, of which it has
    all but the name.

    Args:
        path: The file.
        configs: Folder below which configs are looked for, after the working
            directory and the file's own folder.
        **changes: As in ``change``.

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
        name = _entry('the plan', own, (*PLAN, '_base_')).get('name')
        raw = _entry('the plan', Config.fromfile(path).to_dict(), PLAN)
        raw = _numbers(raw) | dict(name=name or path.stem)
        change(raw, **changes)
        return _make_plan(raw, (Path(), path.parent, configs))
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path}: {error}') from error
    except yaml.YAMLError as error:
        raise ValueError(f'{path} is not YAML: {error}') from error
    except Exception as error:  # a value of any other kind than is asked for
        raise ValueError(f'{path}: {error}') from error


def change(
    raw: dict[str, Any],
    *,
    methods: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    axes: Sequence[str] = (),
    search: str | None = None,
    learning_rates: Sequence[float] | None = None,
    **more: Any,
) -> None:
    """Change what a file says.

    A method that alone is ``search: fixed`` keeps its rate.

    Args:
        raw: What the file says.
        methods: Names of its methods, or config files, in place of all; the
            axes compare them, too.
        datasets: Names of its data sets, or config files, in place of all.
        axes: Names of its axes, which are compared in place of the methods.
        search: A preset for all methods.
        learning_rates: Those of the search of all methods; what else it is
            stays.
        **more: Other keys; None for what the file says.

    Raises:
        ValueError: If an axis, or a method of the axes, is unknown.
    """
    raw.update({key: one for key, one in more.items() if one is not None})
    known = raw.pop('axes', {})
    chosen = known.pop('methods', None) if axes else None
    raw['axes'] = {name: _known('axis', name, known) for name in axes}
    if methods is not None:
        raw['methods'] = _select(methods, raw['methods'])
    elif chosen:
        known = raw['methods']
        raw['methods'] = {
            name: _known('method of axes', name, known) for name in chosen
        }
    if datasets is not None:
        raw['datasets'] = _select(datasets, raw['datasets'])
    if search or learning_rates:
        default = raw.get('search', 'grow')
        raw['methods'] = {
            name: _searched(entry, default, search, learning_rates)
            for name, entry in raw['methods'].items()
        }


def _known(what: str, name: str, known: dict[str, Any]) -> Any:
    if name not in known:
        raise ValueError(
            f'unknown {what} {name!r}; the plan has '
            f'{", ".join(known) or "none"}.'
        )
    return known[name]


def _select(names: Sequence[str], known: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of names; what is not known is a config."""
    chosen = {
        name if name in known else Path(name).stem: known[name]
        if name in known
        else dict(config=name)
        for name in names
    }
    if len(chosen) < len({*names}):
        raise ValueError(f'two of {[*names]} have one name; rename one.')
    return chosen


def _searched(
    entry: Any,
    default: Any,
    search: str | None,
    learning_rates: Sequence[float] | None,
) -> dict[str, Any]:
    """Return the entry of a method with another search."""
    entry = dict(config=entry) if isinstance(entry, str) else dict(entry)
    if entry.get('search') == 'fixed' != default:
        return entry
    mine = search or entry.get('search', default)
    if learning_rates:
        mine = mine if isinstance(mine, dict) else dict(preset=mine)
        mine = dict(mine, learning_rate=learning_rates)
    return dict(entry, search=mine)


def slug(name: str) -> str:
    """Return a name as a part of a file's name."""
    return re.sub(r'\W+', '-', name).strip('-')


def shown(value: Any) -> str:
    """Return a value as a tick label: runs of integers as ``0-5``."""
    if not isinstance(value, (list, tuple)):
        return str(value)
    values = list(value)
    if len(values) > 2 and all(isinstance(one, int) for one in values):
        first = values[0]
        if values == list(range(first, first + len(values))):
            return f'{first}-{values[-1]}'
    return ', '.join(map(str, values)) or 'none'


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    is_number = isinstance(value, str) and NUMBER.fullmatch(value)
    return float(value) if is_number else value


def _make_plan(raw: dict[str, Any], folders: Sequence[Path]) -> Plan:
    for part in ('methods', 'datasets'):
        if not raw.get(part):
            raise ValueError(
                f'the plan is empty: {part}: has no entry. Give one at least, '
                'as NAME: ...; see configs/compare for examples.'
            )
    search = make_search(raw.pop('search', 'grow'))
    parts = dict(
        methods=tuple(
            _make_method(str(name), entry, search, folders)
            for name, entry in raw['methods'].items()
        ),
        datasets=tuple(
            _make_dataset(str(name), entry or {}, folders)
            for name, entry in raw['datasets'].items()
        ),
        axes=tuple(_make_axis(*pair) for pair in raw['axes'].items()),
    )
    plan = Plan(**{**raw, **parts})
    if not is_int(plan.seeds) or plan.seeds < 1:
        raise ValueError(f'seeds={plan.seeds!r} must be a number >= 1.')
    return plan


def _make_method(
    name: str, entry: Any, search: Search, folders: Sequence[Path]
) -> Method:
    what = f'method {name!r}'
    entry = dict(config=entry) if isinstance(entry, str) else entry
    fields = _entry(what, entry, METHOD)
    if 'config' not in fields:
        raise ValueError(f'{what} has no config; give it config: FILE.')
    fields['config'] = _find_config(fields['config'], folders, what)
    if not isinstance(fields.get('own_model', False), bool):
        raise ValueError(
            f'{what}: own_model={fields["own_model"]!r} must be true or false.'
        )
    if 'search' in fields:
        search = make_search(fields['search'])
    return Method(name, **{**fields, 'search': search})


def _make_dataset(name: str, entry: Any, folders: Sequence[Path]) -> DataSet:
    what = f'data set {name!r}'
    fields = _entry(what, entry, DATASET)
    if 'config' in fields:
        fields['config'] = _find_config(fields['config'], folders, what)
    return DataSet(name, **fields)


def _make_axis(name: str, entry: Any) -> Axis:
    """Read ``{key: [values]}`` or ``{label: {key: value, ...}, ...}``."""
    pairs = list(entry.items()) if isinstance(entry, dict) else []
    ticks: list[tuple[str, Any]] = []
    if len(pairs) == 1 and isinstance(pairs[0][1], list):
        [(key, values)] = pairs
        ticks = [(shown(value), {str(key): value}) for value in values]
    elif all(isinstance(options, dict) and options for _, options in pairs):
        ticks = [(str(label), options) for label, options in pairs]
    if len({frozenset(options) for _, options in ticks}) != 1:
        raise ValueError(
            f'axis {name!r}: {entry!r} must be one dotted key and its values, '
            'as {model.backbone.prompt_length: [1, 5]}, or for each label '
            'the same keys, as {short: {model.backbone.prompt_length: 1}}.'
        )
    return Axis(name, dict(ticks))


def _entry(what: str, entry: Any, allowed: Sequence[str]) -> dict[str, Any]:
    """Return an entry without what is blank.

    Raises:
        ValueError: If it is not a mapping, a key is unknown, or options are
            not a mapping.
    """
    unknown = set(entry) - set(allowed) if isinstance(entry, dict) else entry
    if unknown or not isinstance(entry, dict):
        raise ValueError(
            f'{what} must be a mapping with the keys {", ".join(allowed)}, '
            f'and has {unknown!r}.'
        )
    given = {key: value for key, value in entry.items() if value is not None}
    for key in ('cfg_options', 'final'):
        if not isinstance(given.get(key, {}), dict):
            raise ValueError(
                f'{what}: {key}={given[key]!r} must map keys to values.'
            )
    return given


def _find_config(name: str, folders: Sequence[Path], what: str) -> Path:
    """Return the path of a config, or that of one of the package.

    Raises:
        FileNotFoundError: If there is none; the text suggests names.
    """
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    try:
        return config_path(name)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{what}: {error}') from error
