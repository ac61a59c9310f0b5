"""Measures a pre-trained backbone by a linear classifier on its states.

Symbols: B batch; N patches; C embedding width.
"""

import json
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor
from torch.utils.data import DataLoader

from ...weights import write_whole
from ..unwrap import validated_model


@HOOKS.register_module()
class LinearProbeHook(Hook):
    """Write the accuracy of a linear probe after pre-training.

    Accuracy on held-out images of a logistic regression on standardised
    states, of [CLS] and of the averaged patches. A quick look at the
    backbone; it chooses no strength of regularisation.

    Args:
        train_dataloader: Config of a loader over labelled images.
        test_dataloader: Config of a loader over other labelled images.
        max_iter: Steps of the solver at most.
        filename: Name of the report in the work dir.

    Raises:
        ValueError: If an image has no label.
    """

    def __init__(
        self,
        train_dataloader: dict,
        test_dataloader: dict,
        max_iter: int = 1000,
        filename: str = 'linear_probe.json',
    ) -> None:
        self.dataloaders = (train_dataloader, test_dataloader)
        self.max_iter = max_iter
        self.filename = filename

    def before_train(self, runner: Runner) -> None:
        """List the images: what is missing shows before hours are spent."""
        if is_main_process():
            self._loaders = [
                _whole_loader(runner, cfg) for cfg in self.dataloaders
            ]

    def after_train(self, runner: Runner) -> None:
        """Fit on the one loader and score on the other, on rank 0."""
        if not is_main_process():
            return
        # Not at the top: it would take a third of the time of a start.
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        with validated_model(runner) as model:
            model.eval()
            (train, train_labels), (test, test_labels) = (
                _read(model, loader) for loader in self._loaders
            )
        report = {}
        for readout in train:
            probe = make_pipeline(
                StandardScaler(), LogisticRegression(max_iter=self.max_iter)
            )
            probe.fit(train[readout], train_labels)
            report[readout] = probe.score(test[readout], test_labels)
        runner.logger.info(f'Linear probe, held out: {report}')
        path = Path(runner.work_dir) / self.filename
        write_whole(path, f'{json.dumps(report, indent=2)}\n')


def _whole_loader(runner: Runner, cfg: dict) -> DataLoader:
    loader = runner.build_dataloader(cfg, seed=runner.seed)
    # The samplers of the host leave most images to other processes.
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_size,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
    )


@torch.no_grad()
def _read(
    model: BaseModel, loader: DataLoader
) -> tuple[dict[str, Tensor], Tensor]:
    """States of whole images by readout, and labels."""
    states, labels = [], []
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        images = data['inputs'][0]
        # No patch is masked.
        nothing = images.new_zeros(
            len(images), *model.backbone.patch_resolution
        )
        tokens = model.backbone(images, nothing)[-1]  # (B, 1 + N, C)
        tokens = model.neck.norm(tokens)
        states.append(torch.stack([tokens[:, 0], tokens[:, 1:].mean(1)]).cpu())
        for sample in data['data_samples']:
            if 'gt_label' not in sample:
                raise ValueError(
                    'LinearProbeHook read an image without a label: its data '
                    'sets need with_label=True.'
                )
            labels.append(sample.gt_label.cpu())
    cls_token, patches = torch.cat(states, dim=1)
    return dict(cls=cls_token, patches=patches), torch.cat(labels)
