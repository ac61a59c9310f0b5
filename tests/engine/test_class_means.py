"""Where prototypes and projection start, by one process and by several."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from sklearn.covariance import ledoit_wolf
from torch import distributed, multiprocessing
from torch.utils.flop_counter import FlopCounterMode

from vptm_mm.datasets import SklearnDigits
from vptm_mm.engine import PrefixCacheHook
from vptm_mm.engine.hooks import class_mean_prototypes
from vptm_mm.engine.launch import leave_process_group
from vptm_mm.models import PrototypeVerbalizerHead

from .made_digits import digits_runner, read_log

IMAGES, CLASSES, WIDTH = 31, 4, 6


class Model(torch.nn.Module):
    """Reads its states as they are."""

    def __init__(self):
        super().__init__()
        self.head = PrototypeVerbalizerHead(
            CLASSES, WIDTH, prototype_dim=9, prototype_init='discriminant'
        )


def set_prototypes(rank: int, processes: int, folder: str) -> None:
    """What a process does with its share; it leaves the head's state."""
    distributed.init_process_group(
        'gloo',
        init_method=f'file://{folder}/store{processes}',
        rank=rank,
        world_size=processes,
    )
    generator = torch.Generator().manual_seed(0)
    states = 1 + torch.randn(IMAGES, WIDTH, generator=generator)
    labels = torch.arange(IMAGES) % CLASSES
    share = slice(rank, None, processes)
    class_mean_prototypes._training_states = lambda runner, views: (
        list(states[share, None].split(3)),
        list(labels[share].split(3)),
    )
    torch.manual_seed(rank)
    model = Model()
    runner = SimpleNamespace(
        model=model,
        logger=SimpleNamespace(info=lambda text: None),
        train_dataloader=SimpleNamespace(dataset=range(IMAGES)),
    )
    class_mean_prototypes.ClassMeanPrototypesHook().before_train(runner)
    torch.save(model.head.state_dict(), f'{folder}/{processes}_{rank}.pth')
    leave_process_group()


def test_two_processes_find_what_one_finds(tmp_path):
    for processes in (1, 2):
        multiprocessing.start_processes(
            set_prototypes,
            (processes, str(tmp_path)),
            nprocs=processes,
            start_method='forkserver',
        )
    one, first, second = (
        torch.load(tmp_path / f'{name}.pth') for name in ('1_0', '2_0', '2_1')
    )
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name

    def cosines(state):  # Of prototypes and axes: no rotation changes them.
        return (
            state['verbalizer.prototypes']
            @ state['verbalizer.projection.weight']
        )

    torch.testing.assert_close(cosines(first), cosines(one))


def test_class_means_are_the_normalised_means(tmp_path):
    runner = digits_runner(
        tmp_path,
        **{
            'model.head.prototype_init': 'class_mean',
            'optim_wrapper.optimizer.lr': 0.0,
            'train_dataloader.dataset.pipeline': [
                dict(type='Resize', scale=(32, 32)),
                dict(type='PackInputs'),
            ],
        },
    )
    runner.train()
    model, dataset = runner.model.eval(), runner.train_dataloader.dataset
    sums = torch.zeros(10, 128)
    for i in range(len(dataset)):
        item = dataset[i]
        data = model.data_preprocessor(
            dict(inputs=item['inputs'][None], data_samples=None), False
        )
        with torch.no_grad():
            v = model.extract_feat(data['inputs'], stage='pre_logits')
        sums[item['data_samples'].gt_label] += F.normalize(v[0], dim=0)
    torch.testing.assert_close(
        model.head.verbalizer.prototypes,
        F.normalize(sums, dim=1),
        atol=1e-5,
        rtol=1e-5,
    )
    assert 'Prototypes: means of 64 images' in read_log(tmp_path)


def test_a_head_of_another_width_is_told_the_number(tmp_path):
    runner = digits_runner(tmp_path, **{'model.backbone.mask_grid': 2})
    with pytest.raises(ValueError, match='set model.head.in_channels=512'):
        runner.train()


PLAIN = {
    'model.head.prototype_init': 'discriminant',
    'optim_wrapper.optimizer.lr': 0.0,
    'train_dataloader.dataset.pipeline': [
        dict(type='Resize', scale=(32, 32)),
        dict(type='PackInputs'),
    ],
}


@torch.no_grad()
def training_states(runner):
    """What the head reads of each training image, and labels."""
    model, dataset = runner.model.eval(), runner.train_dataloader.dataset
    items = [dataset[i] for i in range(len(dataset))]
    batch = dict(inputs=[i['inputs'] for i in items], data_samples=None)
    images = model.data_preprocessor(batch, False)['inputs']
    labels = torch.cat([i['data_samples'].gt_label for i in items])
    return model.extract_feat(images)[-1].double(), labels


@pytest.mark.parametrize('dim', [8, 200])
def test_discriminants_of_the_training_images(tmp_path, dim):
    """Cosines as by scikit-learn's covariance and a matrix root."""
    runner = digits_runner(
        tmp_path, **PLAIN, **{'model.head.prototype_dim': dim}
    )
    runner.train()
    head = runner.model.head
    states, labels = training_states(runner)
    mean = F.normalize(states.mean(0), dim=0)
    states -= torch.outer(states @ mean, mean)
    covariance, _ = ledoit_wolf(states.numpy(), assume_centered=True)
    variances, axes = torch.linalg.eigh(torch.from_numpy(covariance))
    white = states @ axes / variances.sqrt()
    means = torch.stack([white[labels == k].mean(0) for k in range(10)])
    if dim < 128:  # 8 of 9 directions
        _, _, directions = torch.linalg.svd(means)
        white = white @ directions[:dim].T
    unit = F.normalize(white, dim=1)
    prototypes = torch.stack([unit[labels == k].mean(0) for k in range(10)])
    expected = unit @ F.normalize(prototypes, dim=1).T
    scores = head.forward((training_states(runner)[0].float(),))
    torch.testing.assert_close(
        scores * 0.1, expected.float(), atol=1e-4, rtol=1e-4
    )


def test_discriminants_within_classes(tmp_path):
    """Scores as by a matrix root of the covariance within classes."""
    regularized = {'model.head.prototype_init': 'regularized_discriminant'}
    runner = digits_runner(tmp_path, **{**PLAIN, **regularized})
    runner.train()
    states, labels = training_states(runner)
    means = torch.stack([states[labels == k].mean(0) for k in range(10)])
    mean = F.normalize(means.mean(0), dim=0)
    remove_mean = torch.eye(128).double() - torch.outer(mean, mean)
    within = (states - means[labels]) @ remove_mean
    covariance = within.T @ within / len(states)
    covariance += torch.eye(128) * covariance.trace() / 128  # one to one
    variances, axes = torch.linalg.eigh(covariance)
    unit = F.normalize(states @ remove_mean @ axes / variances.sqrt(), dim=1)
    prototypes = torch.stack([unit[labels == k].mean(0) for k in range(10)])
    expected = unit @ F.normalize(prototypes, dim=1).T
    scores = runner.model.head.forward((training_states(runner)[0].float(),))
    torch.testing.assert_close(
        scores * 0.1, expected.float(), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize('init', ['discriminant', 'regularized_discriminant'])
def test_discriminants_of_one_image_of_each_class(tmp_path, init):
    labels = SklearnDigits(split='train').get_gt_labels().tolist()
    runner = digits_runner(
        tmp_path,
        **{
            **PLAIN,
            'model.head.prototype_init': init,
            'train_dataloader.dataset.indices': [
                labels.index(digit) for digit in range(10)
            ],
            'train_dataloader.batch_size': 10,
        },
    )
    runner.train()
    states, labels = training_states(runner)
    predicted = runner.model.head.forward((states.float(),)).argmax(1)
    assert predicted.equal(labels)


def test_a_class_without_images_keeps_its_prototype(tmp_path):
    runner = digits_runner(
        tmp_path,
        **{
            'model.head.prototype_init': 'discriminant',
            'train_dataloader.dataset.indices': 5,
            'optim_wrapper.optimizer.lr': 0.0,
        },
    )
    initial = F.normalize(runner.model.head.verbalizer.prototypes.clone())
    runner.train()
    labels = set(runner.train_dataloader.dataset.get_gt_labels().tolist())
    empty = sorted(set(range(10)) - labels)
    log = read_log(tmp_path)
    assert (
        f'{len(empty)} of 10 classes have no training image, {empty[0]} '
        'first (from 0). Their prototypes keep' in log
    )
    prototypes = runner.model.head.verbalizer.prototypes
    kept = (prototypes - initial).abs().amax(1) < 1e-6
    assert kept.nonzero().flatten().tolist() == empty


def start(tmp_path, least_views, **options):
    """The head's state before the first step, and the log."""
    runner = digits_runner(
        tmp_path / str(least_views),
        **{
            'model.head.prototype_init': 'discriminant',
            'optim_wrapper.optimizer.lr': 0.0,
            'train_dataloader.dataset.indices': 24,
            'default_hooks.class_means.least_views': least_views,
            **options,
        },
    )
    runner.train()
    log = read_log(tmp_path / str(least_views))
    return runner.model.head.state_dict(), log


def test_views_that_are_alike_count_for_one(tmp_path):
    """Not augmented, ten passes say what one says."""
    plain = PLAIN['train_dataloader.dataset.pipeline']
    options = {'train_dataloader.dataset.pipeline': plain}
    once, log = start(tmp_path, 24, **options)
    assert 'views each' not in log
    often, log = start(tmp_path, 240, **options)
    assert '10 views each' in log
    for name, tensor in once.items():
        torch.testing.assert_close(often[name], tensor, atol=1e-4, rtol=1e-4)


def test_few_images_are_seen_in_several_views(tmp_path):
    """Each pass augments again, whatever wraps the images."""
    runner = digits_runner(
        tmp_path,
        least_views=1000,
        **{
            'train_dataloader.dataset': dict(
                _delete_=True,
                type='KShot',
                shots=1,
                dataset=dict(
                    type='SklearnDigits',
                    split='train',
                    pipeline=[
                        dict(
                            type='RandomResizedCrop',
                            scale=32,
                            crop_ratio_range=(0.7, 1.0),
                        ),
                        dict(type='PackInputs'),
                    ],
                ),
            )
        },
    )
    states, labels = seen_states(runner)
    assert states.shape == (10, 100, 128)
    assert labels.bincount().tolist() == [1] * 10
    for views in states:  # 8 x 8 pixels have a few crops only
        assert len({tuple(view.tolist()) for view in views}) > 10


def test_kept_states_give_the_views_that_there_are(tmp_path):
    """Seen one after the other, and again."""
    runner = digits_runner(
        tmp_path,
        least_views=1000,
        **{
            'model.backbone.prompt_blocks': [3],
            'model.head.prototype_init': 'discriminant',
            'train_dataloader.dataset.indices': 4,
        },
    )
    views = 3
    runner.register_hook(PrefixCacheHook(views=views))
    states, _ = seen_states(runner)
    assert states.shape == (4, 250, 128)
    for i in range(4):
        torch.testing.assert_close(states[i, :-views], states[i, views:])
        found = {tuple(view) for view in states[i].round(decimals=3).tolist()}
        assert len(found) <= views
    assert not torch.allclose(states[:, 0], states[:, 1], atol=1e-3)


def seen_states(runner):
    """States and labels that a run starts from."""
    seen = []
    extract = class_mean_prototypes._training_states

    def keep(*args):
        seen.append(extract(*args))
        return seen[0]

    class_mean_prototypes._training_states = keep
    try:
        runner.train()
    finally:
        class_mean_prototypes._training_states = extract
    return tuple(map(torch.cat, seen[0]))


def test_a_fixed_share_needs_no_fourth_moment():
    states, labels = torch.randn(6, 4, 8), torch.arange(6) % 2
    flops = {}
    for within in (False, True):
        with FlopCounterMode(display=False) as counter:
            class_mean_prototypes._discriminants(
                [states], [labels], labels.bincount(), torch.eye(8), within
            )
        flops[within] = counter.get_total_flops()
    # The products of 4 views of 6 images, each of 8 numbers.
    assert flops[False] - flops[True] == 2 * 6 * 4 * 4 * 8


@pytest.mark.parametrize('least_views', [0, 1.5])
def test_a_wrong_number_of_views_is_named(least_views):
    with pytest.raises(ValueError, match='must be an int >= 1'):
        class_mean_prototypes.ClassMeanPrototypesHook(least_views)
