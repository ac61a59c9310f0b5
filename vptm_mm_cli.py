"""The command ``vptm``: its verbs and their flags.

Not in the package, whose import registers everything and takes seconds:
``vptm --help`` and ``vptm VERB --help`` import nothing but this module. The
work of a verb is ``run`` of the module of its name in ``vptm_mm.verbs``.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple


class Verb(NamedTuple):
    """What ``vptm`` can do.

    Args:
        summary: A line on it.
        add_flags: Adds its flags to a parser.
        epilog: How it may end.
        passes_on: Whether flags that it does not know are those of ``train``;
            they are in ``others``.
    """

    summary: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    epilog: str | None = None
    passes_on: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``vptm``.

    Args:
        argv: Verb and flags; those of the process by default.

    Returns:
        The exit code: 0; 1 if the verb has findings; 2 on an error.
    """
    name, args = parse(sys.argv[1:] if argv is None else argv)
    try:
        from vptm_mm.run_verb import run_verb
    except ImportError as error:  # it says what to install
        print(f'ImportError: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while it imports
        return 130
    return run_verb(name, args)


def parse(argv: Sequence[str]) -> tuple[str, argparse.Namespace]:
    """Return verb and flags; leave the process if they are wrong."""
    name = argv[0] if argv else '--help'
    if name not in VERBS:
        _overview().parse_args([name])
    verb = VERBS[name]
    parser = argparse.ArgumentParser(
        prog=f'vptm {name}', description=verb.summary, epilog=verb.epilog
    )
    verb.add_flags(parser)
    parser.add_argument(
        '--debug', action='store_true', help='show the traceback of an error'
    )
    # Anywhere, behind a verb of `vptm task` or `vptm draw`, too.
    words = [word for word in argv[1:] if word != '--debug']
    args, others = parser.parse_known_args(words)
    args.debug = '--debug' in argv
    if others and not verb.passes_on:
        parser.error(f'unrecognized arguments: {" ".join(others)}')
    args.others = others
    return name, args


def _overview() -> argparse.ArgumentParser:
    """Return the parser of ``vptm`` without a verb."""
    width = max(map(len, VERBS))
    lines = '\n'.join(
        f'  {name:<{width}}  {verb.summary}' for name, verb in VERBS.items()
    )
    parser = argparse.ArgumentParser(
        prog='vptm',
        usage='vptm VERB ... (vptm VERB --help)',
        description='One frozen BEiT v2, and many image classification tasks.'
        f'\n\nverbs:\n{lines}',
        epilog='Exit code: 0; 1 for findings; 2 for an error.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('verb', choices=list(VERBS), help=argparse.SUPPRESS)
    shown = f'vptm_mm {version("vptm_mm")}'
    parser.add_argument('--version', action='version', version=shown)
    return parser


def number(
    kind: type[int] | type[float], least: float, most: float = float('inf')
) -> Callable[[str], float]:
    """Return what reads a number between two limits, for ``type=``."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(least - 1)
        if not least <= value <= most:
            name = 'an integer' if kind is int else 'a number'
            limit = '' if most == float('inf') else f' and at most {most:,}'
            raise argparse.ArgumentTypeError(
                f'{text} must be {name} of at least {least}{limit}'
            )
        return value

    return read


def config(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    parser.add_argument(
        'config',
        nargs=nargs,
        help='path of a config, or a name that `vptm configs` lists'
        + ('; by default that of the checkpoint' if nargs else ''),
    )


def cfg_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help='change keys of the config, as in '
        'model.backbone.prompt_length=20 train_dataloader.batch_size=32; '
        'an unknown key is an error',
    )


def device(parser: argparse.ArgumentParser, dest: str = 'device') -> None:
    parser.add_argument(
        '--device',
        dest=dest,
        default='auto',
        help='where the model runs: auto, cpu, cuda, cuda:1, mps, ...',
    )


def weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--weights',
        help='path or address of the pre-trained weights; by default those '
        'that the config or the first task names',
    )


def tasks(parser: argparse.ArgumentParser, **kwargs: object) -> None:
    parser.add_argument(
        '--task',
        action='append',
        metavar='[NAME=]FILE',
        help='task file, or checkpoint in its work dir; named after the file '
        'by default; may be given several times',
        **kwargs,  # type: ignore[arg-type]
    )


def server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--server',
        metavar='URL',
        help='ask a server of vptm serve, as http://127.0.0.1:8000; --task '
        'then names tasks that it has',
    )
    parser.add_argument(
        '--token-file',
        type=Path,
        help='holds the token of the server, if it needs one',
    )


def launch(parser: argparse.ArgumentParser) -> None:
    """Add the flags that MMPretrain's two tools have in common."""
    parser.add_argument('--work-dir', help='folder for logs and results')
    cfg_options(parser)
    device(parser)
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not pin the memory of data loaders',
    )
    launcher(parser)
    parser.add_argument(
        '--trust-checkpoint',
        metavar='FILE',
        help='let this file, and no other, run the code that it holds when it '
        'is read: for old checkpoints of your own, which are refused without',
    )


def launcher(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    # torch.distributed.launch passes --local-rank, older ones --local_rank.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def adapt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'folder',
        nargs='?',
        help='images, a sub-folder for each class, or train/ val/ test/ of '
        'such folders, or a CSV file of path and label; the digits that come '
        'with scikit-learn by default',
    )
    weights(parser)
    parser.add_argument(
        '--epochs',
        type=number(int, 0),
        default=0,
        help='of prompt tuning; 0, one pass without training, by default',
    )
    parser.add_argument(
        '--masks',
        type=number(int, 1),
        default=2,
        help='[MASK] tokens along one side of the image',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of all choices'
    )
    parser.add_argument('--out', help='task file; FOLDER.task.safetensors')
    device(parser)


def train(parser: argparse.ArgumentParser) -> None:
    config(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint, or without a path from the newest '
        'valid one in the work dir; begin if there is none',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='automatic mixed precision; on a CPU in bfloat16',
    )
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate during training',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the actual batch size',
    )
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start the workers of data loaders again in each epoch',
    )
    parser.add_argument(
        '--watch',
        nargs='+',
        choices=['tensorboard', 'wandb'],
        default=[],
        help='write curves for TensorBoard or W&B, too',
    )
    launch(parser)


def test(parser: argparse.ArgumentParser) -> None:
    config(parser, '?')
    parser.add_argument(
        'checkpoint', help='path or address of a checkpoint or task file'
    )
    parser.add_argument(
        '--folder',
        help='test all images of this folder, in sub-folders named after '
        'classes of the checkpoint, in place of the test set of the config',
    )
    parser.add_argument(
        '--out',
        help='file for the results; the metrics go to stdout, too',
    )
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='what --out receives; by default predictions in a .pkl file, and '
        'metrics in others',
    )
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision'
    )
    parser.add_argument(
        '--show-dir', help='folder for images with their predictions'
    )
    parser.add_argument(
        '--show', action='store_true', help='show predictions in a window'
    )
    parser.add_argument(
        '--interval',
        type=number(int, 1),
        default=1,
        help='show every n-th image',
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds per window'
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average over test-time augmentations: tta_model and '
        'tta_pipeline of the config, or the image and its mirror image',
    )
    launch(parser)


def predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'images', nargs='+', type=Path, help='images, or folders of images'
    )
    tasks(parser, required=True)
    weights(parser)
    parser.add_argument('--topk', type=number(int, 1), default=1)
    parser.add_argument('--batch-size', type=number(int, 1), default=32)
    parser.add_argument(
        '--workers',
        type=number(int, 0),
        default=0,
        help='processes that read images; with --ray, that classify them',
    )
    parser.add_argument(
        '--ray',
        action='store_true',
        help='classify on the Ray cluster at RAY_ADDRESS, or on this machine',
    )
    server(parser)
    device(parser)
    parser.add_argument(
        '--out',
        type=Path,
        help='file for the results, whose suffix decides the format; - is '
        'the screen; .jsonl and .parquet, a folder, go on where the same '
        'command was stopped',
    )
    parser.add_argument(
        '--format', choices=['table', 'json', 'csv', 'jsonl', 'parquet']
    )


def task(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest='command', required=True)
    export = commands.add_parser(
        'export', help='checkpoint to task file, or task file to checkpoint'
    )
    export.add_argument('source', help='checkpoint, or task file')
    export.add_argument(
        '--config',
        help='config of the checkpoint; by default the one in its work dir',
    )
    export.add_argument('--out', type=Path, required=True)
    cfg_options(export)
    info = commands.add_parser('info', help='show what a task file holds')
    check = commands.add_parser(
        'check', help='load a task on its backbone and run it'
    )
    for command in (info, check):
        command.add_argument('task', metavar='[NAME=]FILE', help='task file')
    for command in (export, check):
        weights(command)


PICTURES = {
    'attention': (4, 'where [MASK] and the prompts look'),
    'tokens': (1000, 'visual tokens at [MASK], by class'),
    'embedding': (1000, 'features and prototypes as a map'),
    'confusion': (None, 'which class is taken for which'),
    'prototypes': (0, 'which prototypes are alike'),
}


def draw(parser: argparse.ArgumentParser) -> None:
    pictures = parser.add_subparsers(dest='picture', required=True)
    for name, (num_images, text) in PICTURES.items():
        part = pictures.add_parser(name, help=text, description=text)
        config(part, '?')
        part.add_argument(
            'checkpoint', help='path or address of a checkpoint or task file'
        )
        part.add_argument('--out', required=True, help='folder for pictures')
        cfg_options(part)
        device(part)
        if num_images != 0:
            _image_flags(part, num_images)
    pictures.choices['embedding'].add_argument(
        '--method', choices=['tsne', 'pca'], default='tsne'
    )


def _image_flags(
    parser: argparse.ArgumentParser, num_images: int | None
) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--images', nargs='+', help='image files')
    source.add_argument(
        '--split',
        choices=['train', 'val', 'test'],
        default='test',
        help="which of the config's data sets",
    )
    parser.add_argument(
        '--num-images',
        type=number(int, 1),
        default=num_images,
        help='images sampled from the split; by default '
        f'{num_images or "all"}',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of the choice of images'
    )


def report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('work_dir', help='work dir of `vptm train`')
    parser.add_argument(
        '--out',
        help='the page; report.html in the work dir by default; - is stdout',
    )
    parser.add_argument(
        '--checkpoint',
        help='checkpoint or task file that predicts the test set; by default '
        'the tested or best one of the work dir',
    )
    parser.add_argument(
        '--no-predict',
        action='store_true',
        help='show only predictions that are in the work dir',
    )
    parser.add_argument(
        '--mistakes',
        type=number(int, 0),
        default=24,
        help='images of mistakes',
    )
    device(parser)


def listening(parser: argparse.ArgumentParser, port: int) -> None:
    """Add the flags of what is reached over the network."""
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen at; by default, this machine only',
    )
    parser.add_argument('--port', type=number(int, 1, 65535), default=port)
    parser.add_argument(
        '--max-mb',
        type=number(float, 0.001, 10_000),
        default=10,
        help='largest upload, in MB',
    )
    parser.add_argument(
        '--max-pixels',
        type=number(int, 1),
        default=20_000_000,
        help='most pixels of an uploaded image, width times height',
    )


def demo(parser: argparse.ArgumentParser) -> None:
    tasks(parser)
    weights(parser)
    server(parser)
    listening(parser, 7860)
    device(parser)


def serve(parser: argparse.ArgumentParser) -> None:
    tasks(parser)
    parser.add_argument(
        '--tasks',
        metavar='FOLDER',
        help='where task files are, which can come and go: a folder, or an '
        'address as s3://bucket/tasks; files of --task are copied there',
    )
    weights(parser)
    listening(parser, 8000)
    # Not 'device', which must be there: --write-config is for other machines.
    device(parser, dest='on')
    parser.add_argument(
        '--dtype',
        choices=['float32', 'bfloat16'],
        help='of the frozen blocks; as each task was tuned by default',
    )
    parser.add_argument(
        '--max-batch',
        type=number(int, 1),
        default=32,
        help='images in a batch, of any tasks',
    )
    parser.add_argument(
        '--max-wait-ms',
        type=number(float, 0),
        default=0,
        help='how long a batch waits for more images, if none runs before it',
    )
    parser.add_argument(
        '--replicas',
        type=number(int, 1),
        default=1,
        help='processes that hold the backbone',
    )
    parser.add_argument(
        '--max-tasks',
        type=number(int, 1),
        default=1000,
        help='tasks that a replica keeps in memory; others are loaded when '
        'they are asked for',
    )
    parser.add_argument(
        '--max-queue',
        type=number(int, 1),
        default=256,
        help='requests that wait at a replica; more are refused with 503',
    )
    parser.add_argument(
        '--token-file',
        metavar='FILE',
        help='holds the bearer token that PUT and DELETE need',
    )
    parser.add_argument(
        '--token-for',
        choices=['changes', 'all'],
        default='changes',
        help='what needs the token',
    )
    parser.add_argument(
        '--write-config',
        metavar='FILE',
        type=Path,
        help='serve nothing: write what `serve deploy` takes on a cluster',
    )


def compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'plan',
        nargs='?',
        default='digits',
        help='YAML file, or name of a plan in configs/compare; digits by '
        'default',
    )
    parser.add_argument(
        '--methods', nargs='+', help="names of the plan's, or config files"
    )
    parser.add_argument(
        '--datasets', nargs='+', help="names of the plan's, or config files"
    )
    parser.add_argument(
        '--seeds', type=number(int, 1), help='final runs of each'
    )
    parser.add_argument(
        '--search',
        metavar='PRESET',
        help='for all methods: grow, grid, vpt, vpt-adamw, tpe or fixed',
    )
    parser.add_argument(
        '--learning-rates',
        type=float,
        nargs='+',
        help='of the search, for all methods; what else it is stays',
    )
    parser.add_argument(
        '--search-on',
        metavar='NAME',
        help="the data set that chooses for all of them; '' for a search on "
        'each',
    )
    parser.add_argument(
        '--axes',
        metavar='NAME,NAME',
        help='plot accuracy along axes of the plan, in place of its table',
    )
    cfg_options(parser)
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='logs and report; work_dirs/compare_NAME by default',
    )
    parser.add_argument(
        '--storage',
        type=Path,
        metavar='FILE',
        help='journal that workers and comparisons share; study.log in the '
        'work dir by default',
    )
    parser.add_argument(
        '--stale-after',
        type=number(int, 5),
        default=60,
        help='seconds without a sign of life after which another worker may '
        'take over a run',
    )
    parser.add_argument(
        '--retry-failed', action='store_true', help='run failed runs again'
    )
    parser.add_argument(
        '--report-only', action='store_true', help='run nothing'
    )


def pretrain(parser: argparse.ArgumentParser) -> None:
    config(parser)
    parser.add_argument(
        '--tokens',
        nargs='+',
        choices=['patches', 'features', 'vqkd'],
        help='what each round predicts: groups of pixels, groups of features '
        'of the round before, or tokens distilled from it (VQ-KD); the first '
        'one is what the config says; patches features features by default',
    )
    parser.add_argument(
        '--block',
        type=int,
        help='block of the last backbone whose states are read, counted from '
        '0; the middle one by default',
    )
    parser.add_argument(
        '--keep-tokens',
        action='store_true',
        help="only compute the teacher's tokens, kept_tokens of the config",
    )
    parser.add_argument(
        '--work-dir', type=Path, help='work_dirs/CONFIG_rounds by default'
    )
    parser.add_argument(
        '--launch',
        metavar='WORDS',
        help='what starts the training of each round in several processes, '
        "as 'torchrun --nproc-per-node 8' or 'srun --ntasks 8 python'; with "
        '--launcher',
    )
    cfg_options(parser)
    launcher(parser)


def configs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'pattern', nargs='?', default='*', help='as in *cub*; all by default'
    )
    parser.add_argument(
        '--copy',
        nargs=2,
        metavar=('NAME', 'FILE'),
        help='write a config of your own that inherits this one',
    )


def check(parser: argparse.ArgumentParser) -> None:
    config(parser)
    parser.add_argument(
        '--workers',
        type=number(int, 0),
        default=min(8, os.cpu_count() or 1),
        help='processes that read images; 0 reads in this one',
    )
    parser.add_argument(
        '--show',
        type=number(int, 0),
        default=5,
        help='examples of each finding',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        help='write all findings as JSON; - is stdout, in place of the table',
    )
    cfg_options(parser)


def export(parser: argparse.ArgumentParser) -> None:
    config(parser, '?')
    parser.add_argument(
        'checkpoint', help='path or address of a checkpoint or task file'
    )
    parser.add_argument(
        '--out', required=True, help='file to write, *.onnx or *.pt2'
    )
    parser.add_argument(
        '--format',
        choices=['onnx', 'pt2'],
        help='onnx: for onnxruntime; pt2: for torch; by default what --out '
        'ends in',
    )
    parser.add_argument(
        '--preprocessing',
        action='store_true',
        help='take uint8 images in BGR order, in place of normalised ones',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        help='largest difference of a score that is right; 1e-4 by default',
    )
    cfg_options(parser)


VERBS = {
    'adapt': Verb('turn a folder of images into a task file', adapt),
    'train': Verb(
        'train a config',
        train,
        'What the config says is changed as in --cfg-options '
        'train_cfg.max_epochs=1.',
    ),
    'test': Verb('test a checkpoint or task file', test),
    'predict': Verb(
        'classify images by one or several task files',
        predict,
        'Exit code: 0; 1 if an image was unreadable; 2 on an error.',
    ),
    'task': Verb('make, show and verify task files', task),
    'draw': Verb('draw pictures of a classifier', draw),
    'report': Verb('make one HTML page of a run', report),
    'demo': Verb('serve a page that classifies an image', demo),
    'serve': Verb('serve tasks over HTTP, by Ray Serve', serve),
    'pretrain': Verb(
        'pre-train a backbone in rounds',
        pretrain,
        'Other flags, as --amp, are those of vptm train.',
        passes_on=True,
    ),
    'compare': Verb('compare methods: search, seeds, tables, plots', compare),
    'export': Verb('write a classifier as ONNX or for torch.export', export),
    'check': Verb(
        'look at every image and label of the data sets of a config',
        check,
        'Exit code: 0; 1 if there are problems; 2 if the config or an option '
        'is wrong, a data set cannot be built, or the check fails.',
    ),
    'configs': Verb('list the configs that come with vptm_mm', configs),
}


if __name__ == '__main__':
    sys.exit(main())
