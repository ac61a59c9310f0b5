"""Finds a checkpoint, wherever it is, and reads its tensors safely."""

import hashlib
from importlib import resources
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import torch
from mmengine.dist import barrier, get_local_rank
from torch import Tensor

PACKAGED = 'vptm_mm://'


def fetch(checkpoint: str) -> Path:
    """Turn the address of a checkpoint into the path of a local file."""
    scheme = urlparse(checkpoint).scheme
    if checkpoint.startswith(PACKAGED):
        folder = resources.files('vptm_mm') / 'checkpoints'
        path = Path(str(folder / checkpoint[len(PACKAGED) :]))
    elif is_remote(checkpoint):
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


def is_remote(checkpoint: str) -> bool:
    """Whether an address asks for the network."""
    return urlparse(checkpoint).scheme in ('http', 'https')


def is_stored(url: str) -> bool:
    """Whether a remote file was downloaded before."""
    return _cache(url).is_file()


def _cache(url: str) -> Path:
    # Two addresses may end in one name.
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    folder /= hashlib.sha256(url.encode()).hexdigest()[:8]
    return folder / Path(urlparse(url).path).name


def _download(url: str) -> Path:
    """Fetch a file into torch's cache, once, by one rank of a machine."""
    path = _cache(url)
    try:
        if get_local_rank() == 0 and not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path))
    except OSError as error:
        raise RuntimeError(
            f'could not download {url} ({error}); fetch it on another '
            f'machine and copy it to {path}, or give a local path by '
            '--cfg-options model.backbone.init_cfg.checkpoint=PATH.'
        ) from error
    finally:
        barrier()  # the other ranks wait here, whatever happened
    return path


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint; no code in it is run."""
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # damaged bytes raise nearly anything
        reason = (
            'it holds objects other than tensors, which may run code. Save '
            'its state dict alone, where you trust it'
            if 'Unsupported global' in str(error)
            else 'it is cut short, damaged or of another format; get it again'
        )
        raise ValueError(
            f'{path} ({path.stat().st_size} bytes) is no readable checkpoint: '
            f'{reason}. Its sha256 is {sha256(path)}.\n{error}'
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
    if all(name.startswith('module.') for name in content):  # of DDP
        content = {k[len('module.') :]: v for k, v in content.items()}
    return content


def sha256(path: Path) -> str:
    """Return the digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
