"""The config that a verb is given, or that its checkpoint brings."""

import argparse

from mmengine.config import Config

from ..engine.cfg_options import merge_cfg_options, read_config
from ..tasks import config_of


def open_config(args: argparse.Namespace) -> Config:
    """Read ``config``, or the config of ``checkpoint``; merge options."""
    if args.config is not None:
        return read_config(args.config, args.cfg_options)
    cfg = config_of(args.checkpoint)
    merge_cfg_options(cfg, args.cfg_options)
    return cfg
