"""Two processes of each launcher give what one gives, on CPUs."""

import pickle

import pytest
import torch
from safetensors.torch import load_file as load_tensors

from vptm_mm.tasks import find_task_file
from vptm_mm.weights import load_file

from ..launched import launch
from .test_tools import metrics, plain_config

# 33 images for two processes: one of them gets an image twice.
OPTIONS = (
    'train_cfg.max_epochs=2',
    'optim_wrapper.optimizer.lr=0.1',
    'val_dataloader.dataset.indices=33',
    'test_dataloader.dataset.indices=33',
    'test_dataloader.batch_size=4',
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Where all runs are, with that of one process."""
    folder = tmp_path_factory.mktemp('launched')
    plain_config(folder)
    (folder / 'counted.py').write_text(
        "_base_ = './plain.py'\n"
        "imports = ['vptm_mm', 'tests.verbs.sent_bytes']\n"
        'custom_imports = dict(imports=imports)\n'
        "default_hooks = dict(sent_bytes=dict(type='SentBytesHook'))\n"
    )
    train(folder, 'none', batch_size=32)
    return folder


def train(folder, launcher, batch_size, work_dir=None, more=()) -> str:
    return launch(
        'train.py',
        'plain.py' if launcher == 'none' else 'counted.py',
        *('--work-dir', work_dir or launcher, '--cfg-options'),
        *(*OPTIONS, f'train_dataloader.batch_size={batch_size}', *more),
        cwd=folder,
        launcher=launcher,
    )


def losses(folder, name) -> torch.Tensor:
    """The loss of each step, as it is logged."""
    path = folder / name / 'epoch_2.pth'
    scalars = load_file(path)['message_hub']['log_scalars']
    return torch.as_tensor(scalars['train/loss'].data[0])


def assert_same_task(folder, name) -> None:
    one, other = (
        load_tensors(find_task_file(folder / run)) for run in ('none', name)
    )
    assert one.keys() == other.keys()
    for key, tensor in one.items():
        torch.testing.assert_close(
            other[key], tensor, atol=1e-6, rtol=1e-6, msg=key
        )


# Slurm: test_shell_scripts.py.
@pytest.mark.parametrize('launcher', ['pytorch', 'mpi'])
def test_two_processes_train_what_one_trains(folder, launcher):
    output = train(folder, launcher, batch_size=16)
    assert output.count('Trainable parameters:') == 1
    # A trainable parameter without gradient would have been an error by now.
    one, two = losses(folder, 'none'), losses(folder, launcher)
    assert len(one) == 4
    torch.testing.assert_close(two, one, atol=1e-6, rtol=1e-6)
    assert_same_task(folder, launcher)
    results = [
        metrics(folder / run / 'test_results.json')
        for run in ('none', launcher)
    ]
    assert results[0] == results[1]

    report = metrics(folder / launcher / 'sent_bytes.json')
    assert len(report['sent']) == 4
    for sent in report['sent']:
        assert report['tuned'] <= sent <= 1.05 * report['tuned']


def test_two_processes_test_each_image_once(folder):
    predictions = []
    for launcher in ('none', 'pytorch'):
        launch(
            'test.py',
            *('plain.py', folder / 'none' / 'plain.task.safetensors'),
            *('--work-dir', 'tested', '--out', f'{launcher}.pkl'),
            *('--cfg-options', *OPTIONS[2:]),
            cwd=folder,
            launcher=launcher,
        )
        content = (folder / f'{launcher}.pkl').read_bytes()
        predictions.append(pickle.loads(content))
    one, two = predictions
    assert len(one) == len(two) == 33
    for first, second in zip(one, two, strict=True):
        assert first['sample_idx'] == second['sample_idx']
        torch.testing.assert_close(first['pred_score'], second['pred_score'])
    assert len({sample['sample_idx'] for sample in two}) == 33


@pytest.mark.parametrize(
    ('launcher', 'batch_size'), [('none', 16), ('pytorch', 8)]
)
def test_accumulated_gradients_are_those_of_the_large_batch(
    folder, launcher, batch_size
):
    work_dir = f'accumulated-{launcher}'
    accumulate = ('optim_wrapper.accumulative_counts=2',)
    train(folder, launcher, batch_size, work_dir, accumulate)
    assert_same_task(folder, work_dir)
    halves = losses(folder, work_dir).view(4, 2).mean(1)
    torch.testing.assert_close(
        halves, losses(folder, 'none'), atol=1e-6, rtol=1e-6
    )
