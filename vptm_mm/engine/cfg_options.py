"""Checks ``--cfg-options``: an unknown key is a typo, not an option."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

import mmpretrain.registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner, TestLoop
from torch.utils.data import DataLoader

# Top-level keys that the runner and the tools look up by name.
LOOKED_UP = {
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'default_scope',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'tta_model',
    'tta_pipeline',
}
# Keys of parts that are built without a ``type``.
IMPLICIT = {
    'optim_wrapper': ('OptimWrapper', {'constructor', 'paramwise_cfg'}),
    'train_cfg': (EpochBasedTrainLoop, {'by_epoch', 'max_iters'}),
    'randomness': (Runner.set_randomness, set()),
    'val_cfg': (TestLoop, set()),
    'test_cfg': (TestLoop, set()),
    **{
        f'{part}_dataloader': (DataLoader, {'dataset', 'num_batch_per_epoch'})
        for part in ('train', 'val', 'test')
    },
}


def check_cfg_options(cfg: Config, options: dict[str, Any]) -> None:
    """Look each key up in the config and in the classes that it builds.

    A key is known if the config has it at that place, if the class named by
    ``type`` takes it as an argument, or if the runner reads it.

    Args:
        cfg: The config, before the options are merged.
        options: Values by dotted key, as ``--cfg-options`` gives them.

    Raises:
        ValueError: If a key is unknown; the text suggests the nearest one.
    """
    for option in options:
        node: Any = cfg._cfg_dict
        keys = option.split('.')
        for depth, key in enumerate(keys):
            if isinstance(node, (list, tuple)):
                if not key.isdigit() or int(key) >= len(node):
                    raise ValueError(
                        f'--cfg-options {option}: {".".join(keys[:depth])} is '
                        f'a list of {len(node)}; {key!r} is no index of it.'
                    )
                node = node[int(key)]
                continue
            if not isinstance(node, Mapping):
                break  # below a value that the config does not set
            known = _known_keys(node, keys[:depth])
            if known and key not in known:
                nearest = difflib.get_close_matches(key, known, 1, cutoff=0.0)
                suggestion = '.'.join([*keys[:depth], nearest[0]])
                raise ValueError(
                    f'--cfg-options {option}: unknown key {key!r} in '
                    f'{".".join(keys[:depth]) or "the config"}; did you mean '
                    f'{suggestion!r}?'
                )
            node = node.get(key)


def _known_keys(node: Mapping, path: list[str]) -> set[str]:
    known = set(node)
    if not path:
        return known | _arguments(Runner) | LOOKED_UP
    if path[-1] in ('custom_keys', 'env_cfg', 'metainfo'):
        return set()  # free keys
    builder, more = IMPLICIT.get(path[-1], (None, set()))
    builder = node.get('type', builder)
    if isinstance(builder, str):
        builder = _find(builder)
    if builder is not None:
        known |= _arguments(builder) | more | {'type', '_scope_', '_delete_'}
    return known


def _find(name: str) -> Any:
    for registry in vars(mmpretrain.registry).values():
        if isinstance(registry, Registry):
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
