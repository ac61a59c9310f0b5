"""Pre-train a BEiT v2 in rounds, without labels and without CLIP.

IMAGE_FOLDER=path/to/images vptm pretrain beitv2-tiny_folder \
    --tokens patches features features

Started again, it continues where it stopped. What it does not know, as --amp,
is for ``vptm train``. See docs/pretraining.md.
"""

import argparse
import difflib
import shlex
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

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
from ..report.run_folder import read_run
from ..weights import write_whole
from ..weights.download import file_sha256


def run_step(
    step: Step,
    cfg: Config,
    read: list[Path],
    args: argparse.Namespace,
) -> Path:
    """Train one step, or what is left of it; return the file it exports.

    Args:
        step: Its name and config.
        cfg: Its config.
        read: Files of earlier steps that it reads.
        args: The command line.

    Ends with the exit code of the training if it is not 0.

    Raises:
        ValueError: If the folder holds a step of other settings.
    """
    folder = args.work_dir / step.name
    # Not in its folder: there the runner writes a file of the same name.
    config = args.work_dir / f'{step.name}.py'
    export = folder / export_name(cfg)
    folder.mkdir(parents=True, exist_ok=True)
    text = settings(cfg, read, args.others)
    before = config.read_text(encoding='utf-8') if config.exists() else text
    if before != text:
        is_begun = any(folder.glob('*.pth'))
        if export.exists() or (is_begun and not can_go_on(config, cfg, text)):
            raise ValueError(_changed(config, before, text))
        print(f'{step.name} goes on with other settings.', file=sys.stderr)
    write_whole(config, text)
    if not export.exists():
        command = shlex.split(args.launch or '') or [sys.executable]
        command += ['-m', 'vptm_mm', 'train', str(config)]
        command += ['--work-dir', str(folder), '--resume']
        command += ['--launcher', args.launcher, *args.others]
        if code := run_until_it_ends(command):
            sys.exit(code)
    return export


def _changed(config: Path, before: str, now: str) -> str:
    changed = difflib.unified_diff(
        before.splitlines(), now.splitlines(), 'before', 'now', '', '', 0
    )
    lines = [
        f'{config} holds other settings than these, or was made from other '
        'files of the rounds before; give another --work-dir, or remove it, '
        'the folder of its name and all of later rounds.',
        *islice(changed, 20),
    ]
    return '\n'.join(lines)


def run_until_it_ends(command: list[str]) -> int:
    """Run a command; pass on what asks it to stop; return its exit code."""
    process = subprocess.Popen(command)

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


def origin(
    cfg: Config, read: list[Path], distilled: Config | None
) -> dict[str, Any]:
    """Say what the run of a round does not know of itself."""
    made: dict[str, Any] = {'predicts': describe_tokens(cfg, distilled)}
    if 'teacher_licence' in cfg:
        made['licence of the teacher'] = cfg.teacher_licence
    if read:
        made['made from'] = ', '.join(
            f'{path}, sha256 {file_sha256(path)}' for path in read
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
    if args.launcher != 'none' and not args.launch:
        raise ValueError(
            f'--launcher {args.launcher}: this command is one process; say '
            "what starts those of the training, as --launch 'torchrun "
            "--nproc-per-node 8' or 'srun --ntasks 8 python'."
        )
    name = f'{Path(args.config).stem}_rounds'
    # Absolute: part of the configs, which can be run from elsewhere, too.
    args.work_dir = (args.work_dir or Path('work_dirs', name)).absolute()
    cfg = read_config(args.config, args.cfg_options)
    init_default_scope('mmpretrain')
    if said := adapt_length(cfg, args.cfg_options):
        print(said, file=sys.stderr)
    backbone = last = distilled = None
    for step in plan_steps(cfg, args.tokens, args.block):
        print(f'== {step.name} ==', file=sys.stderr)
        step_cfg = step.make_config(cfg, backbone, last)
        read: list[Path] = [last] if last is not None else []
        last = run_step(step, step_cfg, read, args)
        if step.name.endswith('-tokenizer'):
            distilled = step_cfg
            continue
        backbone = last
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
