"""Pre-train a BEiT v2 in rounds, without labels and without CLIP.

IMAGE_FOLDER=path/to/images vptm pretrain beitv2-tiny_folder \
    --tokens patches features features

Started again, it continues where it stopped. What it does not know, as --amp,
is for ``vptm train``. See docs/pretraining.md.
"""

import argparse
import difflib
import os
import shlex
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..engine.any_device_runner import VARIABLES
from ..engine.cfg_options import read_config
from ..engine.worker_signals import STOP_SIGNALS
from ..pretraining.card import write_card
from ..pretraining.few_images import adapt_length
from ..pretraining.keep_tokens import keep_tokens
from ..pretraining.rounds import (
    Step,
    can_go_on,
    describe_tokens,
    export_name,
    plan_steps,
    settings,
)
from ..report import read_run
from ..weights import write_whole
from ..weights.download import sha256

# Seconds that other processes wait for a config that rank 0 writes, and for
# the backbone: rank 0 measures it alone before it writes it.
PATIENCE = 600
LONG_PATIENCE = 24 * 3600


def run_step(
    number: int,
    step: Step,
    cfg: Config,
    read: list[Path],
    args: argparse.Namespace,
) -> Path:
    """Train one step, or what is left of it; return the file it exports.

    Args:
        number: Of the step, from 0.
        step: Its name and config.
        cfg: Its config.
        read: Files of earlier steps that it reads.
        args: The command line.

    Ends with the exit code of the training if it is not 0.

    Raises:
        ValueError: If the folder holds a step of other settings.
        RuntimeError: If another process does not write what this one needs.
    """
    folder = args.work_dir / step.name
    # Not in its folder: there the runner writes a file of the same name.
    config = args.work_dir / f'{step.name}.py'
    export = folder / export_name(cfg)
    folder.mkdir(parents=True, exist_ok=True)
    text = settings(cfg, read, args.others)
    if not config.exists() and is_first(args.launcher):
        write_whole(config, text)
    wait_for(config, PATIENCE)
    before = config.read_text(encoding='utf-8')
    if before != text and not export.exists():
        is_begun = any(folder.glob('*.pth'))
        if not is_begun or can_go_on(config, cfg, text):
            print(f'{step.name} goes on with other settings.', file=sys.stderr)
            if is_first(args.launcher):
                write_whole(config, text)
            wait_for(config, PATIENCE, text)
            before = text
    if before != text:
        changed = difflib.unified_diff(
            before.splitlines(), text.splitlines(), 'before', 'now', '', '', 0
        )
        raise ValueError(
            f'{config} holds other settings than these, or was made from '
            'other files of the rounds before; give another --work-dir, or '
            'remove it, the folder of its name and all of later rounds.\n'
            + '\n'.join(islice(changed, 20))
        )
    if not export.exists():
        command = [sys.executable, '-m', 'vptm_mm', 'train', str(config)]
        command += ['--work-dir', str(folder), '--resume']
        command += ['--launcher', args.launcher]
        command += ['--local-rank', str(args.local_rank), *args.others]
        code = run_until_it_ends(command, own_rendezvous(number))
        if code:
            sys.exit(code)
        wait_for(export, LONG_PATIENCE)
    return export


def own_rendezvous(number: int) -> dict[str, str]:
    """Return the environment of the processes of one step.

    torchrun keeps one store for all that its processes start: there, the
    second step would find the addresses of the first, which has ended.
    """
    environ = dict(os.environ)
    if environ.get('TORCHELASTIC_USE_AGENT_STORE') == 'True':
        environ['TORCHELASTIC_USE_AGENT_STORE'] = 'False'
        port = int(environ['MASTER_PORT']) + 1 + number
        environ['MASTER_PORT'] = str(port)
    return environ


def run_until_it_ends(command: list[str], environ: dict[str, str]) -> int:
    """Run a command; pass on what asks it to stop; return its exit code."""
    process = subprocess.Popen(command, env=environ)

    def pass_on(number: int, frame: object) -> None:
        if number != signal.SIGINT:  # a terminal sends it to the command, too
            process.send_signal(number)

    before = {
        number: signal.signal(number, pass_on) for number in STOP_SIGNALS
    }
    code = process.wait()
    # Between two steps there is nobody to pass them on to.
    for number, handler in before.items():
        signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def wait_for(path: Path, seconds: float, text: str | None = None) -> None:
    """Wait until rank 0 has written a file, or a text to it."""
    end = time.monotonic() + seconds
    while not path.exists() or (
        text is not None and path.read_text(encoding='utf-8') != text
    ):
        if time.monotonic() > end:
            raise RuntimeError(
                f'{path} has not been written within {seconds} s; do all '
                'processes see the same work dir?'
            )
        time.sleep(0.2)


def is_first(launcher: str) -> bool:
    """Whether this is the process that writes."""
    if launcher == 'none':
        return True
    return os.environ.get(VARIABLES[launcher][1], '0') == '0'


def origin(
    cfg: Config, read: list[Path], distilled: Config | None
) -> dict[str, Any]:
    """Say what the run of a round does not know of itself."""
    made: dict[str, Any] = {'predicts': describe_tokens(cfg, distilled)}
    if 'teacher_licence' in cfg:
        made['licence of the teacher'] = cfg.teacher_licence
    if read:
        made['made from'] = ', '.join(
            f'{path}, sha256 {sha256(path)}' for path in read
        )
    seed = cfg.model.target_generator.get('seed', 0)
    if cfg.model.target_generator.type == 'VQKDTokenizer':
        # That of the run which distilled it; of a published one it is unknown.
        seed = read_run(read[0].parent).record.get('seed') if read else None
    if seed is not None:
        made['seed of the tokens'] = seed
    made['rounds'] = f'`{shlex.join(["python", *sys.argv])}`'
    return made


def run(args: argparse.Namespace) -> None:
    """Run ``vptm pretrain``."""
    if args.keep_tokens:
        keep_kept_tokens(args)
        return
    name = f'{Path(args.config).stem}_rounds'
    # Absolute: part of the configs, which can be run from elsewhere, too.
    args.work_dir = (args.work_dir or Path('work_dirs', name)).absolute()
    cfg = read_config(args.config, args.cfg_options)
    init_default_scope('mmpretrain')
    if said := adapt_length(cfg, args.cfg_options):
        print(said, file=sys.stderr)
    backbone = last = distilled = None
    steps = plan_steps(cfg, args.tokens, args.block)
    for number, step in enumerate(steps):
        print(f'== {step.name} ==', file=sys.stderr)
        step_cfg = step.make_config(cfg, backbone, last)
        read: list[Path] = [last] if last is not None else []
        last = run_step(number, step, step_cfg, read, args)
        if step.name.endswith('-tokenizer'):
            distilled = step_cfg
            continue
        backbone = last
        if is_first(args.launcher):
            made = origin(step_cfg, read, distilled)
            card = write_card(last.parent, last.name, made)
            print(f'Backbone {backbone}; its card: {card}', flush=True)
        distilled = None


def keep_kept_tokens(args: argparse.Namespace) -> None:
    """Compute the tokens of a teacher once, and keep them."""
    cfg = read_config(args.config, args.cfg_options)
    if 'kept_tokens' not in cfg:
        raise ValueError(
            f'{args.config} has no kept_tokens, the arguments of keep_tokens.'
        )
    init_default_scope('mmpretrain')
    keep_tokens(**cfg.kept_tokens.to_dict())
