"""Measure the table of docs/results.md: methods x learning rates x seeds.

    python tools/results.py digits
    python tools/results.py folder --train TRAIN --test TEST --weights FILE

Every method gets the same grid of learning rates, the same epochs and the
same data. The learning rate is chosen on the validation split with the first
seed; while the best one lies at an end of the grid, the grid grows by a factor
of 4. The test set is read once a seed, with the checkpoint that is best on
validation. Finished runs are kept in ``--work-dir`` and not repeated.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import vptm_mm  # noqa: F401 (registers everything)
from vptm_mm.bricks import tuned_parameters

ROOT = Path(__file__).parents[1] / 'configs'
LEARNING_RATES = (1e-2, 5e-2, 2e-1)
VPTM = 'vptm_beitv2-tiny_digits.py'

# A config, what is changed in it, and whether it is trained at all.
METHODS: dict[str, tuple[str, dict, bool]] = {
    'VPTM hidden, mask_grid 1': (VPTM, {}, True),
    'VPTM hidden, mask_grid 2': (
        VPTM,
        {'backbone.mask_grid': 2, 'head.in_channels': 512},
        True,
    ),
    'VPTM logits, mask_grid 1': (
        VPTM,
        {'backbone.visual_token': 'logits', 'head.in_channels': 256},
        True,
    ),
    'VPTM without prompts, mask_grid 1': (
        VPTM,
        {'backbone.prompt_length': 0},
        True,
    ),
    'VPTM without prompts, mask_grid 2': (
        VPTM,
        {
            'backbone.prompt_length': 0,
            'backbone.mask_grid': 2,
            'head.in_channels': 512,
        },
        True,
    ),
    'VPTM, no training, mask_grid 1': (
        VPTM,
        {'backbone.prompt_length': 0, 'head.prototype_init': 'class_mean'},
        False,
    ),
    'VPTM, no training, mask_grid 2': (
        VPTM,
        {
            'backbone.prompt_length': 0,
            'backbone.mask_grid': 2,
            'head.in_channels': 512,
            'head.prototype_init': 'class_mean',
        },
        False,
    ),
    'linear probe, [CLS]': (
        'rivals/linear-cls_beitv2-tiny_digits.py',
        {},
        True,
    ),
    'linear probe, averaged patches': (
        'rivals/linear-avg_beitv2-tiny_digits.py',
        {},
        True,
    ),
    'linear probe, 2x2-pooled patches': (
        'rivals/linear-pool2x2_beitv2-tiny_digits.py',
        {},
        True,
    ),
}


def make_config(
    args: argparse.Namespace, method: str, rate: float, seed: int
) -> Config:
    filename, changes, trained = METHODS[method]
    cfg = Config.fromfile(ROOT / filename)
    cfg.merge_from_dict({f'model.{k}': v for k, v in changes.items()})
    epochs = args.epochs if trained else 1
    cfg.train_cfg.max_epochs = epochs
    cfg.param_scheduler[1].end = max(epochs, 3)
    cfg.optim_wrapper.optimizer.lr = rate if trained else 0.0
    cfg.randomness.seed = seed
    cfg.default_hooks.checkpoint.interval = epochs
    cfg.default_hooks.logger = dict(type='LoggerHook', interval=1000)
    if args.data == 'folder':
        use_folder(cfg, args)
    return cfg


def use_folder(cfg: Config, args: argparse.Namespace) -> None:
    """Put a folder of 32 px images in place of the digits."""
    cfg.model.backbone.init_cfg.checkpoint = str(args.weights)
    if 'num_visual_tokens' in cfg.model.backbone:
        state = torch.load(args.weights, weights_only=True)['state_dict']
        width = len(state['head.cls_head.bias'])
        if cfg.model.backbone.get('visual_token') == 'logits':
            cfg.model.head.in_channels = width
        cfg.model.backbone.num_visual_tokens = width
    cfg.train_cfg.val_interval = max(1, args.epochs // 2)
    load, pack = dict(type='LoadImageFromFile'), dict(type='PackInputs')
    flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
    whole = dict(type='CustomDataset', data_root=str(args.train))
    # A tenth of the images to train on, a tenth of the rest to choose by.
    labelled = dict(type='TrainValSplit', part='val', dataset=whole)
    rest = dict(type='TrainValSplit', part='train', dataset=whole)
    rest = dict(type='TrainValSplit', part='val', dataset=rest)
    cfg.train_dataloader.dataset = with_pipeline(labelled, [load, flip, pack])
    cfg.val_dataloader.dataset = with_pipeline(rest, [load, pack])
    cfg.test_dataloader.dataset = dict(
        type='CustomDataset', data_root=str(args.test), pipeline=[load, pack]
    )


def with_pipeline(dataset: dict, pipeline: list) -> dict:
    if 'dataset' in dataset:
        inner = with_pipeline(dataset['dataset'], pipeline)
        return dict(dataset, dataset=inner)
    return dict(dataset, pipeline=pipeline)


def run(args: argparse.Namespace, method: str, rate: float, seed: int) -> dict:
    """Train and test once; or read what an earlier call measured."""
    name = ''.join(c if c.isalnum() else '-' for c in method)
    folder = args.work_dir / f'{name}_{rate:g}_{seed}'
    path = folder / 'result.json'
    cfg = make_config(args, method, rate, seed)
    digest = hashlib.sha256(cfg.pretty_text.encode()).hexdigest()
    if path.is_file():
        result = json.loads(path.read_text())
        if result['config_sha256'] != digest:
            raise ValueError(
                f'{path} was measured with other settings; give another '
                '--work-dir, or remove it.'
            )
        return result
    cfg.work_dir = str(folder)
    cfg.experiment_name = folder.name
    runner = Runner.from_cfg(cfg)
    runner.train()
    tested = json.loads((folder / 'test_results.json').read_text())
    val = runner.message_hub.get_scalar('val/accuracy/top1').data[0].max()
    result = dict(
        val=float(val),
        test=tested['metrics']['accuracy/top1'],
        tuned=sum(p.numel() for p in tuned_parameters(runner.model).values()),
        config_sha256=digest,
    )
    for checkpoint in folder.glob('*.pth'):
        checkpoint.unlink()
    path.write_text(json.dumps(result) + '\n')
    return result


def choose_rate(args: argparse.Namespace, method: str) -> float:
    """Return the best rate on validation; the grid grows at its ends."""
    todo = list(args.rates)
    val: dict[float, float] = {}
    while todo:
        val.update({r: run(args, method, r, 0)['val'] for r in todo})
        best = max(val, key=lambda r: val[r])
        todo = []
        if best == max(val):
            todo = [best * 4]
        elif best == min(val):
            todo = [best / 4]
    return best


def measure(args: argparse.Namespace, method: str) -> str:
    """Choose the learning rate, repeat over seeds, return a table row."""
    if METHODS[method][2]:
        rate = choose_rate(args, method)
        shown = f'{rate:g}'
    else:
        rate, shown = 0.0, '-'
    results = [run(args, method, rate, seed) for seed in range(args.seeds)]
    val, test = (
        f'{np.mean([r[key] for r in results]):.1f} ± '
        f'{np.std([r[key] for r in results], ddof=1):.1f}'
        for key in ('val', 'test')
    )
    tuned = f'{results[0]["tuned"]:,}' if METHODS[method][2] else '0'
    return f'| {method} | {tuned} | {shown} | {val} | {test} |'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('data', choices=['digits', 'folder'])
    parser.add_argument('--train', type=Path, help='a folder per class')
    parser.add_argument('--test', type=Path, help='a folder per class')
    parser.add_argument('--weights', type=Path, help='pre-trained backbone')
    parser.add_argument('--epochs', type=int, default=20)
    parser.add_argument('--seeds', type=int, default=5, help='2 or more')
    parser.add_argument(
        '--rates', type=float, nargs='+', default=LEARNING_RATES
    )
    parser.add_argument('--methods', nargs='+', default=list(METHODS))
    parser.add_argument('--work-dir', type=Path)
    args = parser.parse_args()
    if args.data == 'folder' and None in (args.train, args.test, args.weights):
        parser.error('folder needs --train, --test and --weights')
    if args.seeds < 2:
        parser.error('--seeds must be >= 2: the table shows a deviation')
    args.work_dir = args.work_dir or Path('work_dirs') / f'results_{args.data}'
    return args


def main() -> None:
    args = parse_args()
    rows = [measure(args, method) for method in args.methods]
    print('| method | tuned parameters | rate | val | test |')
    print('|---|---|---|---|---|')
    print('\n'.join(rows))


if __name__ == '__main__':
    main()
