"""What surrounds the work of a verb: flags, streams, errors, exit code."""

import argparse
import importlib
import io
import logging
import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import DictAction
from mmengine.device import get_device
from mmengine.logging import MMLogger

from .datasets import ImageFileError
from .host import quiet_host
from .model_index import config_path
from .weights import write_whole

DEBUG = 'VPTM_DEBUG'  # in the environment: every error has its traceback
PACKAGE = Path(__file__).parent
STDOUT = '-'  # as a file for results
# Verbs whose log is wanted; others log what is wrong.
LOGGED = ('train', 'test', 'pretrain')
# Packages that a verb needs beyond the plain installation.
EXTRAS = dict(
    optuna='sweep',
    pandas='sweep',
    gradio='demo',
    fastapi='serve',
    prometheus_client='serve',
    pydantic='serve',
    pyarrow='bulk',
    ray='serve',
    timm='teacher',
)
BROKEN_PIPE = 141  # what shells report of a program that SIGPIPE ends
INTERRUPTED = 130  # and of one that Ctrl+C ends


def run_verb(name: str, args: argparse.Namespace) -> int:
    """Run a verb of ``vptm``; return its exit code.

    Args:
        name: The verb.
        args: Its flags.
    """
    if args.debug:
        os.environ[DEBUG] = '1'
    return guarded(lambda: call_verb(name, args))


def guarded(work: Callable[[], int | None]) -> int:
    """Do the work of a command; return its exit code.

    Results go to stdout, and the log to stderr. A character that a stream
    cannot encode is escaped. An error that this package raises on purpose, a
    file that cannot be opened, or an extra that is not installed, is one line
    on stderr; other errors have a traceback. The exit code of an error is 2.

    Args:
        work: Returns an exit code, or None for 0.
    """
    _prepare_streams()
    try:
        code = work() or 0
        sys.stdout.flush()
    except BrokenPipeError:  # its reader has enough, as ``head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        extra = EXTRAS.get(getattr(error, 'name', None) or '')
        if os.environ.get(DEBUG):
            traceback.print_exc()
        elif isinstance(error, ModuleNotFoundError) and extra:
            print(f"{error}; pip install 'vptm_mm[{extra}]'", file=sys.stderr)
        elif is_for_users(error):
            print(f'{type(error).__name__}: {error}', file=sys.stderr)
        else:
            traceback.print_exc()
        code = 2
    return code


def call_verb(name: str, args: argparse.Namespace) -> int:
    """Run a verb in this process; let its errors out.

    Args:
        name: The verb.
        args: Its flags. ``config`` may be a name of the package's configs,
            ``device`` may be ``'auto'``, ``cfg_options`` lists ``KEY=VALUE``.
    """
    if name not in LOGGED and not args.debug:
        MMLogger.get_current_instance().setLevel('WARNING')
    if getattr(args, 'config', None) is not None:
        args.config = str(config_path(args.config))
    if hasattr(args, 'device'):
        args.device = find_device(args.device)
    if hasattr(args, 'cfg_options'):
        args.cfg_options = parse_options(args.cfg_options)
    verb = importlib.import_module(f'{__package__}.verbs.{name}')
    return verb.run(args) or 0


def find_device(name: str) -> str:
    """Return a device that is there; ``'auto'`` is the host's choice.

    Raises:
        ValueError: If there is none of this name.
    """
    if name == 'auto':
        return get_device()
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f'--device {name} cannot be used here ({error}); allowed are '
            'auto, cpu, and what torch finds, as cuda, cuda:1 or mps.'
        ) from error
    return name


def write_out(out: str | Path, content: str) -> None:
    """Write results to a file, whole or not at all; ``-`` is stdout."""
    if str(out) == STDOUT:
        sys.stdout.write(content)
    else:
        write_whole(Path(out), content.encode(errors='backslashreplace'))


def require_free(host: str, port: int) -> None:
    """Say so if nothing can be served at an address.

    Raises:
        OSError: If it is taken, or not of this machine.
    """
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise OSError(
            f'cannot serve at --host={host} --port={port} '
            f'({error.strerror}); choose others.'
        ) from error


def parse_options(words: list[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` as the host does.

    Raises:
        ValueError: If a word is not of this form.
    """
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument('--cfg-options', nargs='*', action=DictAction)
    for word in words:
        if '=' not in word:
            raise ValueError(f'--cfg-options {word} must be KEY=VALUE.')
    return parser.parse_args(['--cfg-options', *words]).cfg_options or {}


def _prepare_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    quiet_host()
    for handler in MMLogger.get_current_instance().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(sys.stderr)


def is_for_users(error: Exception) -> bool:
    """Whether the text of an error says all that a user needs."""
    if isinstance(error, OSError) and error.filename is not None:
        return True
    if isinstance(error, ImageFileError):  # torch raises it again
        return True
    raised = traceback.extract_tb(error.__traceback__)[-1]
    is_ours = Path(raised.filename).is_relative_to(PACKAGE)
    return is_ours and (raised.line or '').startswith('raise ')
