"""Finds a checkpoint, wherever it is, and reads its tensors safely."""

import hashlib
import pickle
from importlib import resources
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import torch
from mmengine.dist import barrier, is_main_process
from torch import Tensor

PACKAGED = 'vptm_mm://'


def fetch(checkpoint: str) -> Path:
    """Turn the address of a checkpoint into the path of a local file."""
    scheme = urlparse(checkpoint).scheme
    if checkpoint.startswith(PACKAGED):
        folder = resources.files('vptm_mm') / 'checkpoints'
        path = Path(str(folder / checkpoint[len(PACKAGED) :]))
    elif scheme in ('http', 'https'):
        path = _download(checkpoint)
    elif scheme == 'file':
        path = Path(url2pathname(urlparse(checkpoint).path))
    else:
        path = Path(checkpoint).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'no pre-trained weights at {path.absolute()} (from checkpoint='
            f'{checkpoint!r}); give the path of a BEiT v2 pre-training file '
            'by --cfg-options model.backbone.init_cfg.checkpoint=PATH.'
        )
    return path


def _download(url: str) -> Path:
    """Fetch a file into torch's cache, once, from the first rank."""
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    path = folder / Path(urlparse(url).path).name
    if is_main_process() and not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path))
        except OSError as error:
            raise RuntimeError(
                f'could not download {url} ({error}); fetch it on another '
                f'machine and copy it to {path}, or give a local path by '
                '--cfg-options model.backbone.init_cfg.checkpoint=PATH.'
            ) from error
    barrier()
    return path


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint; no code in it is run."""
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
    ) as error:
        raise ValueError(
            f'{path} ({path.stat().st_size} bytes) is no readable checkpoint: '
            'it is cut short, damaged, of another format, or holds objects '
            'other than tensors. Fetch it again; the sha256 of what is there '
            f'is {sha256(path)}.\n{error}'
        ) from error
    for key in ('state_dict', 'model'):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise ValueError(
            f'{path} holds no state dict; expected one under the key '
            "'state_dict' (MMPretrain) or 'model' (Microsoft)."
        )
    return content


def sha256(path: Path) -> str:
    """Return the digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
