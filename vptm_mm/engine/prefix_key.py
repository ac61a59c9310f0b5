"""A digest of all that states depend on."""

import hashlib
import json
from pathlib import Path
from typing import Any

import mmpretrain
import torch
from mmengine.config import Config

from ..version import __version__

# Options of a backbone that cannot change states before the first prompts;
# frozen weights have a digest of their own.
WITHOUT_EFFECT = (
    'init_cfg',
    'num_visual_tokens',
    'prompt_bias',
    'prompt_blocks',
    'prompt_init',
    'prompt_length',
    'prompt_location',
    'visual_token',
    'with_cp',
)
# Of an image, what no state depends on.
NOT_OF_STATES = ('gt_label', 'img', 'sample_idx')
VERSIONS = (mmpretrain.__version__, torch.__version__, __version__)


def cache_key(
    cfg: Config, part: str, backbone: Any, images: Any, **how: Any
) -> str:
    """Return the sha256 of weights, pipeline, images and versions.

    Args:
        cfg: The config of the run.
        part: ``'train'``, ``'val'`` or ``'test'``.
        backbone: The backbone, with its weights.
        images: The data set; what it says of each image counts, without its
            label, and of its file size and time of change.
        **how: What else counts.
    """
    options = {
        name: value
        for name, value in cfg.model.backbone.items()
        if name not in WITHOUT_EFFECT
    }
    content = [
        backbone.frozen_sha256,
        backbone.prefix_depth,
        options,
        cfg[f'{part}_dataloader'].dataset,
        cfg.get('data_preprocessor'),
        cfg.model.get('data_preprocessor'),
        _images_sha256(images),
        VERSIONS,
        how,
    ]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _images_sha256(dataset: Any) -> str:
    digest = hashlib.sha256()
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if 'img' in info:
            digest.update(info['img'].tobytes())
        path = Path(info.get('img_path') or '')
        found = path.stat() if path.is_file() else None
        change = (found.st_size, found.st_mtime_ns) if found else None
        rest = {k: v for k, v in info.items() if k not in NOT_OF_STATES}
        text = json.dumps([rest, change], sort_keys=True, default=_plain)
        digest.update(f'{text}\n'.encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    # The text of a large array leaves out its middle.
    return value.tolist() if hasattr(value, 'tolist') else str(value)
