"""Reads configs; an unknown key of ``--cfg-options`` is a typo."""

import copy
import difflib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mmpretrain.registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner, TestLoop
from torch.utils.data import DataLoader

from ..tasks import config_of

SUFFIXES = ('.py', '.json', '.yaml', '.yml')  # that mmengine reads
# Top-level keys that the runner and the tools look up by name, beside the
# arguments of Runner.
LOOKED_UP = {
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'kept_tokens',
    'model_wrapper_cfg',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}
# What builds the parts that need no ``type``, and what else is read there.
IMPLICIT: dict[str, tuple[Any, set[str]]] = {
    'auto_scale_lr': (None, {'enable', 'base_batch_size'}),
    'data_preprocessor': ('ClsDataPreprocessor', set()),
    'optim_wrapper': ('OptimWrapper', {'constructor', 'paramwise_cfg'}),
    'randomness': (Runner.set_randomness, set()),
    'test_cfg': (TestLoop, set()),
    'train_cfg': (EpochBasedTrainLoop, {'by_epoch', 'max_iters'}),
    'val_cfg': (TestLoop, set()),
    **{
        f'{part}_dataloader': (DataLoader, {'dataset', 'num_batch_per_epoch'})
        for part in ('train', 'val', 'test')
    },
}
# Passed on to functions that are not ours to list.
FREE = {
    'arch',
    'clip_grad',
    'custom_keys',
    'dist_cfg',
    'env_cfg',
    'metainfo',
    'mp_cfg',
    'paramwise_cfg',
}


def read_config(
    path: str | Path, options: dict[str, Any] | None = None
) -> Config:
    """Read a config, and merge what ``--cfg-options`` says.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its name is not that of a config, or as
            ``merge_cfg_options``.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no config at {path.absolute()}')
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f'{path} is not a config; its name must end in one of '
            f'{", ".join(SUFFIXES)}.'
        )
    cfg = Config.fromfile(path)
    merge_cfg_options(cfg, options or {})
    return cfg


def open_config(
    config: str | None,
    checkpoint: str,
    options: dict[str, Any] | None = None,
) -> Config:
    """Read a config, by default that of a checkpoint; merge options.

    Args:
        config: Its path, or None.
        checkpoint: Checkpoint in its work dir, or task file.
        options: As in ``read_config``.
    """
    if config is not None:
        return read_config(config, options)
    cfg = config_of(checkpoint)
    merge_cfg_options(cfg, options or {})
    return cfg


def merge_cfg_options(cfg: Config, options: dict[str, Any]) -> None:
    """Merge options, and look each key up in the config and its classes.

    A key is known if the config has it at that place, if the class named by
    ``type`` takes it as an argument, or if the runner reads it. A key at the
    top that only helps to write the config, such as ``train_pipeline``, would
    change nothing any more, and is refused.

    Args:
        cfg: The config; changed in place.
        options: Values by dotted key, as ``--cfg-options`` gives them.

    Raises:
        ValueError: If a key is unknown, the text suggests one that is; or if a
            value is of another kind than the config's.
    """
    before = cfg.to_dict()
    # One after the other: of all at once, the host forgets what a later key
    # has above an earlier one. It takes _delete_ out of what it merges.
    for option, value in options.items():
        try:
            cfg.merge_from_dict({option: copy.deepcopy(value)})
        except (TypeError, LookupError, AttributeError, ValueError) as error:
            raise ValueError(
                f'--cfg-options {option}: {value!r:.80} does not fit what the '
                f'config has there ({error!s:.200}).'
            ) from error
    after = cfg.to_dict()
    for option in options:
        _check_key(before, after, option)


def _check_key(before: Mapping, after: Mapping, option: str) -> None:
    """Walk down both configs: keys are the old one's, types the new one's."""
    old: Any = before
    new: Any = after
    keys = option.split('.')
    for depth, key in enumerate(keys):
        if isinstance(new, (list, tuple)):
            old = old[int(key)] if isinstance(old, (list, tuple)) else None
            new = new[int(key)]
            continue
        # Below a value that the config does not set, or that another option
        # replaces, there is nothing to compare with.
        if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
            return
        known = _known_keys(old, new, keys[:depth])
        if known is not None and key not in known:
            if key in old:
                raise ValueError(
                    f'--cfg-options {option}: {key!r} only helped to write '
                    'the config and would change nothing; set it where it is '
                    'used, as in train_dataloader.dataset.'
                )
            raise ValueError(
                f'--cfg-options {option}: unknown key {key!r} in '
                f'{".".join(keys[:depth]) or "the config"}'
                + _suggest(before, keys, depth, known)
            )
        old, new = old.get(key), new.get(key)


def _suggest(
    cfg: Mapping, keys: list[str], depth: int, known: set[str]
) -> str:
    """Name keys that look alike here, or are called so elsewhere."""
    near = difflib.get_close_matches(keys[depth], known, 1, cutoff=0.6)
    meant = ['.'.join([*keys[:depth], name]) for name in near]
    if not meant:
        parts = sorted(_arguments(Runner) & set(cfg))
        places = _names({part: cfg[part] for part in parts})
        meant = [p for p in places if f'.{p}'.endswith(f'.{keys[-1]}')][:3]
    if meant:
        return f'; did you mean {" or ".join(map(repr, meant))}?'
    return f'; known are {", ".join(sorted(known))}.'


def _names(node: Any, prefix: str = '') -> Iterator[str]:
    """Yield the dotted name of each key below a part of a config."""
    if isinstance(node, (list, tuple)):
        node = {str(index): child for index, child in enumerate(node)}
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield prefix + key
            yield from _names(child, f'{prefix}{key}.')


def _known_keys(
    old: Mapping, new: Mapping, path: list[str]
) -> set[str] | None:
    """Return the keys that a part may have; None if any."""
    if not path:
        return _arguments(Runner) | LOOKED_UP
    if path[-1] in FREE:
        return None
    # A part that is new as a whole, as a hook with its type.
    parts = {
        k for k, v in new.items() if isinstance(v, Mapping) and 'type' in v
    }
    builder, more = IMPLICIT.get(path[-1], (None, set()))
    builder = new.get('type', builder)
    if isinstance(builder, str):
        builder = _find(builder)
    if callable(builder):
        more = more | _arguments(builder) | {'type', '_scope_', '_delete_'}
    return {*old, *parts, *more}


def _find(name: str) -> Any:
    for registry in vars(mmpretrain.registry).values():
        # Registries fail on a name of dots.
        if isinstance(registry, Registry) and name.strip('.'):
            found = registry.get(name)
            if found is not None:
                return found
    return None


def _arguments(builder: Any) -> set[str]:
    """Return what a class, its bases included, or a function takes."""
    if not inspect.isclass(builder):
        return set(inspect.signature(builder).parameters)
    names: set[str] = set()
    for cls in inspect.getmro(builder):
        if '__init__' not in vars(cls) or cls in (object, BaseLoop):
            continue
        parameters = inspect.signature(cls).parameters.values()
        names |= {parameter.name for parameter in parameters}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return names - {'self', 'args', 'kwargs'}
