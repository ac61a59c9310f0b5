"""Downloads a file into the cache: the whole file, or none."""

import hashlib
import os
import re
import uuid
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import torch
from mmengine.dist import barrier, is_distributed
from rich.console import Console
from rich.progress import wrap_file

from ..version import __version__

# First digits of the sha256 of files whose names do not hold them.
DIGESTS = {'beitv2_base_patch16_224_pt1k.pth': '6d32a5f76264'}
# As torch.hub and MMPretrain name files: beitv2_20221212-a157be30.pth; a date
# is no digest.
DIGEST = re.compile(r'-(?!20\d{6}\.)([0-9a-f]{8,64})\.[^.]*$')
# Hosts that have the same files under the same paths.
MIRRORS = {'download.openmmlab.com': 'mmassets.onedl.ai'}
TIMEOUT = 30  # seconds without a byte
BLOCK = 1 << 20


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

    It is written under another name and renamed when it is complete: a file
    that is there is whole, whoever else downloads it at the same time.

    Raises:
        RuntimeError: If it cannot be fetched, is cut short, or has another
            sha256 than its name says.
    """
    path = cache_path(url)
    try:
        if _is_first_of_machine():
            if path.is_file():
                _require_digest(path)
            else:
                _fetch(url, path)
    except (OSError, ValueError, HTTPException) as error:
        raise RuntimeError(
            f'could not download {url} ({error}); {_mirror(url)}fetch it on '
            f'another machine and copy it to {path}, or give a local path by '
            '--cfg-options model.backbone.init_cfg.checkpoint=PATH.'
        ) from error
    finally:
        barrier()  # the other ranks wait here, whatever happened
    return path


def _is_first_of_machine() -> bool:
    # mmengine's get_local_rank asks a group that its runners do not make.
    return not is_distributed() or os.environ.get('LOCAL_RANK', '0') == '0'


def _mirror(url: str) -> str:
    parts = urlparse(url)
    if parts.netloc not in MIRRORS:
        return ''
    return f'try {parts._replace(netloc=MIRRORS[parts.netloc]).geturl()}, '


def _fetch(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{uuid.uuid4().hex}.part')
    request = Request(url, headers={'User-Agent': f'vptm_mm/{__version__}'})
    try:
        with urlopen(request, timeout=TIMEOUT) as response:
            length = response.headers.get('Content-Length')
            expected = int(length) if length else None
            with (
                part.open('wb') as file,
                wrap_file(
                    response,
                    expected or 0,
                    description=path.name,
                    console=Console(stderr=True),
                ) as shown,
            ):
                while block := shown.read(BLOCK):
                    file.write(block)
        size = part.stat().st_size
        if expected is not None and size != expected:
            raise ValueError(f'it ended after {size} of {expected} bytes')
        _require_digest(part, path.name)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _require_digest(path: Path, name: str = '') -> None:
    """Compare a file with what its name, or our table, says of it."""
    name = name or path.name
    known = DIGEST.search(name)
    expected = known.group(1) if known else DIGESTS.get(name)
    found = sha256(path) if expected else ''
    if not found.startswith(expected or ''):
        raise ValueError(
            f'the sha256 of {path} is {found}, and begins with {expected} in '
            'the original: it is cut short, damaged or another file; delete it'
        )


def sha256(path: Path) -> str:
    """Return the digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
