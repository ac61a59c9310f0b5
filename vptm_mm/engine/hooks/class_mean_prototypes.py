"""Sets prototypes to class means before training."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from rich.progress import track
from torch.utils.data import DataLoader

from ..unwrap import unwrap_model


@HOOKS.register_module()
class ClassMeanPrototypesHook(Hook):
    """Serve heads with ``prototype_init='class_mean'``; others are left alone.

    Before the first epoch one pass over the training images, without
    gradient, sets each prototype to the normalised mean of the normalised
    projections v of its class. With no training after it this is a nearest
    prototype classifier (Snell et al., `Prototypical Networks
    <https://arxiv.org/abs/1703.05175>`_). A run that starts from a
    checkpoint or a task keeps its prototypes.

    Raises:
        ValueError: If a class has no training image.
    """

    @torch.no_grad()
    def before_train(self, runner: Runner) -> None:
        """Average over the training images and set the prototypes."""
        model = unwrap_model(runner.model)
        head = model.head
        if getattr(head, 'prototype_init', None) != 'class_mean':
            return
        if not head.awaits_class_means:
            runner.logger.info('Prototypes: those of the checkpoint.')
            return
        model.eval()
        prototypes = head.verbalizer.prototypes
        sums = torch.zeros_like(prototypes)
        counts = prototypes.new_zeros(len(prototypes))
        for batch in track(
            _each_image_once(runner),
            description='Class means',
            disable=runner.rank != 0,
        ):
            data = model.data_preprocessor(batch, False)
            projected = model.extract_feat(data['inputs'], stage='pre_logits')
            labels = torch.cat([s.gt_label for s in data['data_samples']])
            sums.index_add_(0, labels, F.normalize(projected.float(), dim=-1))
            counts += labels.bincount(minlength=len(counts))
        all_reduce(sums)
        all_reduce(counts)
        if not counts.all():
            empty = counts.eq(0).nonzero().flatten().tolist()
            classes = runner.train_dataloader.dataset.metainfo.get('classes')
            names = [classes[i] if classes else str(i) for i in empty]
            raise ValueError(
                f'{len(empty)} of {len(counts)} classes have no training '
                f"image: {names[:10]}; prototype_init='class_mean' needs one "
                'at least. Add images, or correct num_classes.'
            )
        head.set_class_means(sums)
        runner.logger.info(
            f'Prototypes: means of {int(counts.sum())} images, '
            f'{int(counts.min())} to {int(counts.max())} a class.'
        )


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
