"""A plan: which methods, on which data sets, searched how."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..model_index import config_path
from .search import PRESETS, Search, make_search


@dataclass(frozen=True)
class Method:
    """What is compared.

    Args:
        name: As tables and plots show it.
        config: Its config file.
        search: How its hyper-parameters are searched.
        cfg_options: Changed keys of the config.
    """

    name: str
    config: Path
    search: Search
    cfg_options: dict[str, Any] = field(default_factory=dict)


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
        values: Changed keys of the config for each tick, by its label. All
            ticks change the same keys.
    """

    name: str
    values: dict[str, dict[str, Any]]

    @property
    def keys(self) -> tuple[str, ...]:
        """Dotted keys that change."""
        return tuple(next(iter(self.values.values())))


@dataclass(frozen=True)
class Plan:
    """All that a comparison is to measure.

    Args:
        name: Name of the study.
        methods: What is compared.
        datasets: What it is compared on.
        seeds: Final runs of each method on each data set: seeds 0 to
            ``seeds - 1``.
        search: Of methods that are added.
        search_on: Name of the data set whose search chooses for all of them;
            empty for a search on each.
        cfg_options: Changed keys of every config.
        overrides: Changed keys that come after those of data sets and
            methods.
        axes: Robustness axes.
        axes_methods: Names of the methods that the axes compare.
    """

    name: str
    methods: tuple[Method, ...]
    datasets: tuple[DataSet, ...]
    seeds: int = 5
    search: Search = PRESETS['grow']
    search_on: str = ''
    cfg_options: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    axes: tuple[Axis, ...] = ()
    axes_methods: tuple[str, ...] = ()

    def along(self, names: Sequence[str]) -> 'Plan':
        """Return the plan of some axes: their methods only.

        Raises:
            ValueError: If an axis is unknown.
        """
        known = {axis.name: axis for axis in self.axes}
        for name in names:
            if name not in known:
                raise ValueError(
                    f'unknown axis {name!r}; the plan has '
                    f'{", ".join(known) or "none"}. Add it to axes: of the '
                    'plan, as NAME: {dotted.key: [values]}.'
                )
        methods = tuple(m for m in self.methods if m.name in self.axes_methods)
        axes = tuple(known[name] for name in dict.fromkeys(names))
        return replace(self, methods=methods, axes=axes)

    def searched(
        self, preset: str | None, learning_rates: Sequence[float]
    ) -> 'Plan':
        """Return the plan with another search of all methods.

        A method that alone is not searched, as one without training, is not
        searched then either.

        Args:
            preset: Name of a preset; None leaves each method its search.
            learning_rates: Those that are tried; empty for the search's own.

        Raises:
            ValueError: If the preset is unknown, or a rate out of range.
        """

        def change(search: Search) -> Search:
            search = search if preset is None else make_search(preset)
            if not learning_rates:
                return search
            return replace(search, learning_rate=tuple(learning_rates))

        methods = tuple(
            method
            if self.search.is_needed and not method.search.is_needed
            else replace(method, search=change(method.search))
            for method in self.methods
        )
        return replace(self, methods=methods)

    def select_datasets(
        self, names: Sequence[str], folders: Sequence[Path]
    ) -> 'Plan':
        """Return the plan of some data sets, or of configs that it lacks.

        Args:
            names: Names of the plan's data sets, or config files.
            folders: Where config files are looked for.

        Raises:
            ValueError: If two data sets have one name.
            FileNotFoundError: If a name is neither.
        """
        datasets = _select('data set', names, self.datasets, DataSet, folders)
        return replace(self, datasets=datasets)

    def select_methods(
        self, names: Sequence[str], folders: Sequence[Path]
    ) -> 'Plan':
        """Return the plan of some methods, or of configs that it lacks.

        Axes compare them, too, whatever methods the plan names for axes.

        Args:
            names: Names of the plan's methods, or config files, which get
                the plan's search.
            folders: Where config files are looked for.

        Raises:
            ValueError: If two methods have one name.
            FileNotFoundError: If a name is neither.
        """

        def add(name: str, config: Path) -> Method:
            return Method(name, config, self.search)

        methods = _select('method', names, self.methods, add, folders)
        chosen = tuple(method.name for method in methods)
        return replace(self, methods=methods, axes_methods=chosen)


def _select(
    what: str,
    names: Sequence[str],
    known: Sequence[Any],
    add: Callable[[str, Path], Any],
    folders: Sequence[Path],
) -> tuple[Any, ...]:
    """Return what is named, or make it of the config that is named."""
    by_name = {one.name: one for one in known}

    def unknown(name: str) -> str:
        return f'unknown {what} {name!r}, the plan has {", ".join(by_name)}'

    chosen = [
        by_name[name]
        if name in by_name
        else add(Path(name).stem, find_config(name, folders, unknown(name)))
        for name in dict.fromkeys(names)
    ]
    for name, count in Counter(one.name for one in chosen).items():
        if count > 1:
            raise ValueError(f'{what} {name!r} is there twice; rename one.')
    return tuple(chosen)


def slug(name: str) -> str:
    """Return a name as a part of a file's name."""
    return re.sub(r'\W+', '-', name).strip('-')


def find_config(name: str, folders: Sequence[Path], what: str) -> Path:
    """Return the path of a config.

    Args:
        name: A path, absolute or below one of ``folders``, or the name of a
            config of the package.
        folders: Where it is looked for, in this order.
        what: Begins the text of the error.

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
