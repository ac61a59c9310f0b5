"""Configs of the runs of a comparison: read and merged."""

import copy
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from mmengine.config import Config

from ..datasets.subsets import SAMPLERS, kind_of
from ..engine.cfg_options import merge_cfg_options
from ..engine.launch import LOADERS
from .equal_terms import value_at
from .plan import DataSet, Method, Plan
from .search import Point, Search
from .trial import ACCURACY

OPTIMIZER = 'optim_wrapper.optimizer'


# A config is read once for all runs.
_read = cache(Config.fromfile)


def takes(cfg: Config, options: dict[str, Any]) -> bool:
    """Whether a config, or what it names, has the keys of options."""
    try:
        merge_cfg_options(copy.deepcopy(cfg), options)
    except ValueError:
        return False
    return True


def set_keys(options: dict[str, Any]) -> Iterator[str]:
    """Yield the dotted keys that options set, those within mappings, too."""
    for key, value in options.items():
        if isinstance(value, dict) and value and '_delete_' not in value:
            yield from (f'{key}.{inner}' for inner in set_keys(value))
        else:
            yield key


def without_test(cfg: Config) -> Config:
    """Take the test set out: a search must not even read it."""
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    return cfg


def without_validation(cfg: Config) -> Config:
    """Take validation out: there is no best checkpoint then."""
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint.pop('save_best', None)
    return cfg


def seed_subsets(cfg: Config, seed: int) -> None:
    """Sample images and classes by the seed of the run.

    The deviation over seeds must hold that of the samples. In the other data
    sets classes are sampled alike, and images where they are split after it:
    else a part would hold images of another one.
    """
    _seed_subsets(cfg.train_dataloader.dataset, SAMPLERS, seed)
    for loader in filter(cfg.get, LOADERS[1:]):
        _seed_subsets(cfg[loader].dataset, ('NWay',), seed)


def _seed_subsets(dataset: Any, kinds: Sequence[str], seed: int) -> None:
    """Seed each sample of images or classes, whatever it is wrapped in."""
    if kind_of(dataset) in kinds:
        dataset.seed = seed
    if kind_of(dataset) == 'TrainValSplit':
        kinds = SAMPLERS
    inner = dataset.get('dataset')
    for one in dataset.get('datasets', [] if inner is None else [inner]):
        _seed_subsets(one, kinds, seed)


def base_config(plan: Plan, dataset: DataSet, method: Method) -> Config:
    """Return the config of a method on a data set, before any search.

    Args:
        plan: The plan.
        dataset: One of its data sets.
        method: One of its methods.

    Raises:
        ValueError: If an option is unknown, or a part is missing.
    """
    cfg = copy.deepcopy(_read(method.config))
    if dataset.config is not None:
        _take_data(cfg, copy.deepcopy(_read(dataset.config)))
    for what, options in (
        ('the plan', _for(method, plan.cfg_options)),
        (f'data set {dataset.name!r}', _for(method, dataset.cfg_options)),
        (f'method {method.name!r}', method.cfg_options),
        ('the command line', _for(method, plan.overrides)),
    ):
        _merge(cfg, options, f'{what}, {method.config}')
    needed = ('model', OPTIMIZER, *LOADERS, 'train_cfg.max_epochs')
    missing = [key for key in needed if value_at(cfg, key) is None]
    if missing:
        raise ValueError(
            f'{dataset.name}, {method.name}: {dataset.config or method.config}'
            f' has no {", ".join(missing)}. Give it one: comparisons train by '
            'epochs, rates are chosen on validation images, and final runs '
            'are tested.'
        )
    cfg.default_hooks = cfg.get('default_hooks') or {}
    cfg.default_hooks.checkpoint = dict(
        cfg.default_hooks.get('checkpoint') or {},
        type='ResumableCheckpointHook',
        save_best=ACCURACY,
        rule='greater',
        test_best=True,
    )
    _checkpoint_at_end(cfg)
    cfg.launcher = 'none'
    return cfg


def final_config(base: Config, dataset: DataSet, method: Method) -> Config:
    """Merge what changes after the search, if anything does."""
    if not dataset.final:
        return base
    cfg = copy.deepcopy(base)
    what = f'final of data set {dataset.name!r}, {method.config}'
    _merge(cfg, _for(method, dataset.final), what)
    _checkpoint_at_end(cfg)
    return cfg


def tuned_config(
    base: Config, search: Search, options: dict[str, Any], point: Point
) -> Config:
    """Return a config with the hyper-parameters of one run.

    Args:
        base: The config, which is left as it is.
        search: What chose the point; it may replace the optimizer.
        options: Changed keys of the config, as those of an axis.
        point: The hyper-parameters.

    Raises:
        ValueError: If the config lacks a key of the options.
    """
    cfg = copy.deepcopy(base)
    options = dict(options)
    if search.optimizer:
        kept = {
            key: value
            for key, value in cfg.optim_wrapper.optimizer.items()
            if key in ('lr', 'weight_decay')
        }
        options[OPTIMIZER] = dict(_delete_=True, **kept, **search.optimizer)
    merge_cfg_options(cfg, options)
    chosen = {}
    if 'learning_rate' in point:
        rate = point['learning_rate']
        if search.base_batch_size:  # of the batch that the options say
            rate *= cfg.train_dataloader.batch_size / search.base_batch_size
        chosen[f'{OPTIMIZER}.lr'] = rate
    if 'weight_decay' in point:
        chosen[f'{OPTIMIZER}.weight_decay'] = point['weight_decay']
    merge_cfg_options(cfg, chosen)
    return cfg


def _for(method: Method, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options for all methods that are for this one."""
    return {key: one for key, one in options.items() if method.takes(key)}


def _merge(cfg: Config, options: dict[str, Any], what: str) -> None:
    try:
        merge_cfg_options(cfg, options)
    except ValueError as error:
        raise ValueError(f'{what}: {error}') from error


def _checkpoint_at_end(cfg: Config) -> None:
    """A checkpoint of each epoch would cost more than many a run."""
    cfg.default_hooks.checkpoint.interval = cfg.train_cfg.max_epochs


def _take_data(cfg: Config, data: Config) -> None:
    """Take from a data set's config all that it says about images.

    And how many classes they have, if it has a head.
    """
    for key in LOADERS:  # the method's own are of other images
        cfg[key] = data.get(key)
    for key in ('val_evaluator', 'test_evaluator'):
        if key in data:
            cfg[key] = data[key]
    classes = value_at(data, 'model.head.num_classes')
    if classes and value_at(cfg, 'model.head.num_classes'):
        cfg.model.head.num_classes = classes
    # What registers its class, in the process of the run, too.
    if data.get('custom_imports'):
        mine = dict(cfg.get('custom_imports') or dict(imports=[]))
        both: list[str] = []
        for imports in (mine['imports'], data.custom_imports['imports']):
            both += [imports] if isinstance(imports, str) else imports
        cfg.custom_imports = dict(mine, imports=list(dict.fromkeys(both)))
    # Whether its images are RGB or BGR.
    if data.get('data_preprocessor'):
        cfg.merge_from_dict({'data_preprocessor': data.data_preprocessor})
