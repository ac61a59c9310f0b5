"""Downloads a file into the cache, whole or not at all; digests files."""

import hashlib
import os
import re
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_distributed
from mmengine.logging import MMLogger

# First digits of the sha256 of files whose names do not hold them.
DIGESTS = {'beitv2_base_patch16_224_pt1k.pth': '6d32a5f76264'}
# As torch.hub and MMPretrain name files: beitv2_20221212-a157be30.pth; a date
# is not a digest.
DIGEST = re.compile(r'-(?!20\d{6}\.)([0-9a-f]{8,64})\.[^.]*$')


def file_sha256(path: Path) -> str:
    """Return the digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_remote(checkpoint: str) -> bool:
    """Whether an address asks for the network."""
    return urlparse(checkpoint).scheme in ('http', 'https')


def is_stored(url: str) -> bool:
    """Whether a remote file was downloaded before."""
    return cache_path(url).is_file()


def cache_path(url: str) -> Path:
    """Return where a remote file is kept."""
    # Two addresses may end in one name.
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    folder /= hashlib.sha256(url.encode()).hexdigest()[:8]
    return folder / Path(urlparse(url).path).name


def download(url: str) -> Path:
    """Fetch a file into torch's cache, once, by one rank of a machine.

    Raises:
        RuntimeError: If it cannot be fetched, or has another sha256 than its
            name or our table says.
    """
    path = cache_path(url)
    try:
        if _is_first_of_machine():
            _fetch(url, path)
    except (OSError, RuntimeError, HTTPException) as error:
        raise RuntimeError(
            f'could not download {url} ({error}); fetch it on another machine '
            f'and copy it to {path}, or give a local path by '
            '--weights, or with a config by --cfg-options '
            'model.backbone.init_cfg.checkpoint=PATH.'
        ) from error
    finally:
        barrier()  # the other ranks wait here, whatever happened
    return path


def _is_first_of_machine() -> bool:
    # mmengine's get_local_rank asks a group that its runners do not make.
    return not is_distributed() or os.environ.get('LOCAL_RANK', '0') == '0'


def _fetch(url: str, path: Path) -> None:
    known = DIGEST.search(path.name)
    expected = known.group(1) if known else DIGESTS.get(path.name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), expected)
    elif expected and not file_sha256(path).startswith(expected):
        raise RuntimeError(
            f'the sha256 of {path} is {file_sha256(path)}, and begins with '
            f'{expected} in the original: it is cut short, damaged or another '
            'file; delete it'
        )
    if expected is None:
        MMLogger.get_current_instance().warning(
            f'No sha256 is known of {url}: whether {path} is the original was '
            'not checked.'
        )
