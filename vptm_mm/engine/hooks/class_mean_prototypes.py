"""Sets prototypes to class means before training.

Symbols: N images; V views of each; B images of a batch; K classes; C width of
a state; d prototype dimension.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dataset import DefaultSampler, default_collate
from mmengine.dist import all_reduce, broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ...nn import (
    discriminant_projection,
    regularized_covariance,
    require_int,
    shrunk_covariance,
)
from ...progress import progress
from ..position_seeds import View, pipelines
from ..unwrap import unwrap_model


@HOOKS.register_module()
class ClassMeanPrototypesHook(Hook):
    """Serve heads whose prototypes are to be class means; leave others alone.

    Before the first epoch a pass over the training images, without gradient,
    collects what the head reads, N x C numbers. Of few images one view each
    says little, so they are passed again, augmented again: V = least_views / N
    times, rounded up. With ``prototype_init='discriminant'`` the projection
    becomes the linear discriminants of these states, with a shrunk covariance
    and without the direction of their mean, which tells nothing apart (Fisher,
    1936 <https://doi.org/10.1111/j.1469-1809.1936.tb02137.x>); with
    ``'regularized_discriminant'``, of the covariance within classes. Then each
    prototype becomes the normalised mean of the normalised projections of its
    class. With no training after it this is a nearest prototype classifier
    (Snell et al., Prototypical Networks
    <https://arxiv.org/abs/1703.05175>). A class without training images
    keeps its initial prototype, with a warning. A run that starts from
    a checkpoint or a task keeps all of them.

    Args:
        least_views: How many states are collected at least; 1 for one pass.

    Raises:
        ValueError: If it is not an int >= 1.
    """

    def __init__(self, least_views: int = 1000) -> None:
        require_int('least_views', least_views, 1)
        self.least_views = least_views

    @torch.no_grad()
    def before_train(self, runner: Runner) -> None:
        """Set the projection, if wanted, and the prototypes."""
        model = unwrap_model(runner.model)
        head: Any = getattr(model, 'head', None)
        if getattr(head, 'prototype_init', 'xavier') == 'xavier':
            return
        if not head.awaits_class_means:
            runner.logger.info('Prototypes: those of the checkpoint.')
            return
        model.eval()
        views = -(-self.least_views // len(runner.train_dataloader.dataset))
        states, labels = _training_states(runner, views)
        counts = torch.zeros(head.num_classes, dtype=torch.long)
        for part in labels:
            counts += part.bincount(minlength=head.num_classes)
        all_reduce(counts)
        empty = counts.eq(0).nonzero().flatten().tolist()
        if empty:
            runner.logger.warning(
                f'{len(empty)} of {len(counts)} classes have no training '
                f'image, {empty[0]} first (from 0). Their prototypes keep '
                'their initial values; add images, or correct num_classes.'
            )
        if head.prototype_init != 'class_mean':
            initial = head.verbalizer.projection.weight
            within = head.prototype_init == 'regularized_discriminant'
            head.verbalizer.set_projection(
                _discriminants(states, labels, counts, initial, within)
            )
        prototypes = head.verbalizer.prototypes
        projected = (
            head.pre_logits(
                (part.flatten(0, 1).to(prototypes.device),)
            ).unflatten(0, part.shape[:2])
            for part in states
        )
        unit = (
            F.normalize(part.float(), dim=-1).mean(1).cpu()
            for part in projected
        )
        sums = _class_sums(unit, labels, torch.zeros(prototypes.shape))
        means = torch.where(counts[:, None] > 0, sums, prototypes.cpu())
        head.set_class_means(means)
        runner.logger.info(
            f'Prototypes: means of {int(counts.sum())} images, '
            f'{int(counts.min())} to {int(counts.max())} a class'
            f'{f", {views} views each" * (views > 1)}.'
        )


def _training_states(
    runner: Runner, views: int
) -> tuple[list[Tensor], list[Tensor]]:
    """What the head reads of each view of a training image, and labels.

    Returns:
        States, ``(B, V, C)``, and labels, ``(B,)``, of the batches of this
        process; on the CPU.
    """
    model = unwrap_model(runner.model)
    states, labels = [], []
    for batch in progress(
        _each_image(runner, views), 'Class means', disable=runner.rank != 0
    ):
        data = model.data_preprocessor(batch, False)
        feats = model.extract_feat(data['inputs'])
        states.append(model.head.last_feature(feats).cpu())
        samples = data['data_samples']
        labels.append(torch.cat([s.gt_label for s in samples]).cpu())
    if views == 1 or not states:
        return [part[:, None] for part in states], labels
    # Pass by pass; where there are several, the images are few.
    together = torch.cat(states).unflatten(0, (views, -1)).transpose(0, 1)
    given = torch.cat(labels)[: len(together)]
    size = max(1, len(states[0]) // views)
    return list(together.split(size)), list(given.split(size))


def _class_sums(
    vectors: Iterable[Tensor], labels: list[Tensor], sums: Tensor
) -> Tensor:
    """Add the vectors of each class, of all processes, to ``(K, ...)``."""
    for part, classes in zip(vectors, labels, strict=True):
        sums.index_add_(0, classes, part)
    all_reduce(sums)
    return sums


def _discriminants(
    states: list[Tensor],
    labels: list[Tensor],
    counts: Tensor,
    initial: Tensor,
    within: bool,
) -> Tensor:
    """Linear discriminants of the states of all processes.

    Args:
        states: What the head reads, batches ``(B, V, C)`` of this process.
        labels: Their classes, ``(B,)``.
        counts: Images of each class, of all processes, ``(K,)``.
        initial: The projection as it is, ``(d, C)``.
        within: Whether the covariance is that within classes.

    Returns:
        A projection, ``(d, C)``.
    """
    width = initial.size(1)
    count = int(counts.sum())
    sums = _class_sums(
        (part.double().mean(1) for part in states),
        labels,
        torch.zeros(len(counts), width, dtype=torch.double),
    )
    class_means = sums / counts[:, None].clamp(min=1)  # (K, C)
    if within:
        mean, origins = class_means[counts > 0].mean(0), class_means
    else:
        mean, origins = sums.sum(0) / count, torch.zeros_like(class_means)
    direction = F.normalize(mean, dim=0)
    remove_mean = torch.eye(width).double() - direction.outer(direction)
    covariance = torch.zeros_like(remove_mean)
    fourth_moment = covariance.new_zeros(())
    for part, classes in zip(states, labels, strict=True):
        views = part.size(1)
        deviation = (part - origins[classes][:, None]) @ remove_mean
        flat = deviation.flatten(0, 1)
        covariance += flat.T @ flat / (count * views)
        if within:
            continue  # a fixed share needs no fourth moment
        # |mean of x x^T over views|^2, by products if these are fewer.
        turned = deviation.transpose(1, 2)
        products = deviation @ turned if views < width else turned @ deviation
        fourth_moment += products.square().sum() / (views**2 * count)
    all_reduce(covariance)
    all_reduce(fourth_moment)
    projection = discriminant_projection(
        regularized_covariance(covariance, class_means)
        if within
        else shrunk_covariance(covariance, fourth_moment, count),
        sums @ remove_mean / counts[:, None].clamp(min=1),
        initial.cpu().double(),
    )
    projection = projection @ remove_mean
    broadcast(projection)  # Machines round differently.
    return projection


class _Views(Dataset):
    """All images of a data set, once for each view, view by view."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        starts = [transforms[:1] for transforms in pipelines(dataset)]
        self.views = [t for start in starts for t in start]

    def __getitem__(self, index: int) -> Any:
        view, image = divmod(index, len(self.dataset))
        self._show(view)
        item = self.dataset[image]
        self._show(0)
        return item

    def _show(self, view: int) -> None:
        for transform in self.views:
            if isinstance(transform, View):
                transform.view = view


def _each_image(runner: Runner, views: int) -> DataLoader:
    """Read the training images pass by pass: their loader may be endless."""
    loader = runner.train_dataloader
    once = DefaultSampler(loader.dataset, shuffle=False, round_up=False)
    size = len(loader.dataset)
    # The runner's own method would copy the data set.
    return DataLoader(
        _Views(loader.dataset),
        batch_size=loader.batch_size or 64,
        sampler=[view * size + i for view in range(views) for i in once],
        num_workers=loader.num_workers,
        collate_fn=default_collate,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
    )
