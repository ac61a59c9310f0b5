"""The config that a verb is given, or that its checkpoint brings."""

from typing import Any

from mmengine.config import Config

from ..engine.cfg_options import merge_cfg_options, read_config
from ..tasks import config_of


def open_config(
    config: str | None, checkpoint: str, options: dict[str, Any]
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
    merge_cfg_options(cfg, options)
    return cfg
