"""Sets prototypes to class means before training.

Symbols: N images; K classes; C width of a state; d prototype dimension.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ...bricks import discriminant_projection, shrunk_covariance
from ..unwrap import unwrap_model


@HOOKS.register_module()
class ClassMeanPrototypesHook(Hook):
    """Serve heads whose prototypes are to be class means; leave others alone.

    Before the first epoch one pass over the training images, without
    gradient, collects what the head reads, N x C numbers. With
    ``prototype_init='discriminant'`` the projection becomes the linear
    discriminants of these states, with a shrunk covariance and without the
    direction of their mean, which tells nothing apart (Fisher, `1936
    <https://doi.org/10.1111/j.1469-1809.1936.tb02137.x>`_). Then each
    prototype becomes the normalised mean of the normalised projections of its
    class. With no training after it this is a nearest prototype classifier
    (Snell et al., `Prototypical Networks
    <https://arxiv.org/abs/1703.05175>`_). A run that starts from a
    checkpoint or a task keeps its prototypes.

    Raises:
        ValueError: If a class has no training image, or discriminants are
            wanted of images that all give the same state.
    """

    @torch.no_grad()
    def before_train(self, runner: Runner) -> None:
        """Set the projection, if wanted, and the prototypes."""
        model = unwrap_model(runner.model)
        head = model.head
        if getattr(head, 'prototype_init', 'xavier') == 'xavier':
            return
        if not head.awaits_class_means:
            runner.logger.info('Prototypes: those of the checkpoint.')
            return
        model.eval()
        states, labels = _training_states(runner)
        counts = torch.cat(labels).bincount(minlength=head.num_classes)
        all_reduce(counts)
        _refuse_empty_classes(counts, runner)
        if head.prototype_init == 'discriminant':
            head.verbalizer.set_projection(
                _discriminants(states, labels, counts, head)
            )
        prototypes = head.verbalizer.prototypes
        projected = (
            head.pre_logits((part.to(prototypes.device),)) for part in states
        )
        unit = (F.normalize(part.float(), dim=-1).cpu() for part in projected)
        zeros = torch.zeros(prototypes.shape)
        head.set_class_means(_class_sums(unit, labels, zeros))
        runner.logger.info(
            f'Prototypes: means of {int(counts.sum())} images, '
            f'{int(counts.min())} to {int(counts.max())} a class.'
        )


def _training_states(runner: Runner) -> tuple[list[Tensor], list[Tensor]]:
    """What the head reads of each training image, and labels, in batches.

    Returns:
        States, ``(B, C)``, and labels, ``(B,)``, of the batches of this
        process; on the CPU.
    """
    model = unwrap_model(runner.model)
    states, labels = [], []
    for batch in track(
        _each_image_once(runner),
        description='Class means',
        disable=runner.rank != 0,
    ):
        data = model.data_preprocessor(batch, False)
        states.append(model.extract_feat(data['inputs'])[-1].cpu())
        samples = data['data_samples']
        labels.append(torch.cat([s.gt_label for s in samples]).cpu())
    return states, labels


def _refuse_empty_classes(counts: Tensor, runner: Runner) -> None:
    if counts.all():
        return
    empty = counts.eq(0).nonzero().flatten().tolist()
    classes = runner.train_dataloader.dataset.metainfo.get('classes')
    names = [classes[i] if classes else str(i) for i in empty]
    raise ValueError(
        f'{len(empty)} of {len(counts)} classes have no training image: '
        f"{names[:10]}; a prototype_init other than 'xavier' needs one at "
        'least. Add images, or correct num_classes.'
    )


def _class_sums(
    vectors: Iterable[Tensor], labels: list[Tensor], sums: Tensor
) -> Tensor:
    """Add the vectors of each class, of all processes, to ``(K, ...)``."""
    for part, classes in zip(vectors, labels, strict=True):
        sums.index_add_(0, classes, part)
    all_reduce(sums)
    return sums


def _discriminants(
    states: list[Tensor], labels: list[Tensor], counts: Tensor, head: nn.Module
) -> Tensor:
    """Linear discriminants of the states of all processes, ``(d, C)``.

    Raises:
        ValueError: If all states are equal.
    """
    dim, width = head.verbalizer.projection.weight.shape
    count = int(counts.sum())
    sums = _class_sums(
        (part.double() for part in states),
        labels,
        torch.zeros(len(counts), width, dtype=torch.double),
    )
    mean = sums.sum(0) / count  # (C,)
    direction = F.normalize(mean, dim=0)
    remove_mean = torch.eye(width).double() - direction.outer(direction)
    covariance = torch.zeros_like(remove_mean)
    fourth_moment = covariance.new_zeros(())
    for part in states:
        deviation = part.double() @ remove_mean
        covariance += deviation.T @ deviation / count
        fourth_moment += deviation.square().sum(1).square().sum() / count
    all_reduce(covariance)
    all_reduce(fourth_moment)
    # Of what float32 holds beside the mean.
    if covariance.trace() <= 1e-12 * mean.square().sum():
        raise ValueError(
            f'All {count} training images give the same state, so there are '
            "no discriminants; prototype_init='discriminant' needs images "
            'that differ.'
        )
    projection = discriminant_projection(
        shrunk_covariance(covariance, fourth_moment, count),
        sums @ remove_mean / counts[:, None],
        dim,
    )
    broadcast(projection)  # Processes draw other rotations.
    return projection @ remove_mean


def _each_image_once(runner: Runner) -> DataLoader:
    """Read the training images once: the training loader may be endless."""
    loader = runner.train_dataloader
    return runner.build_dataloader(
        dict(
            dataset=loader.dataset,
            batch_size=loader.batch_size or 64,
            num_workers=loader.num_workers,
            sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
            collate_fn=dict(type='default_collate'),
        ),
        seed=runner.seed,
    )
