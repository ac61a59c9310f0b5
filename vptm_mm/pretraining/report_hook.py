"""Measures a pre-trained model on images that it has not seen."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch.utils.data import DataLoader

from ..engine.unwrap import validated_model
from ..weights import write_whole
from .measures import (
    codebook_use,
    linear_probe,
    masked_token_accuracy,
    states_of_file,
    states_of_model,
)


@HOOKS.register_module()
class PretrainingReportHook(Hook):
    """Write JSON reports into the work dir after pre-training.

    - ``masked_token_accuracy.json``: how many masked visual tokens of
      held-out images are predicted, and how many by the best constant answer
    - ``visual_tokens.json``: use of the codebook and perplexity, on held-out
      images and on training images, as training crops them; where held-out
      images have labels, the mutual information with them
    - one for each linear probe: its accuracy on other images; another, with
      ``_baseline`` at the end, of the same probe on the baseline

    Args:
        masked_tokens: Config of a loader over held-out images, with masks.
        visual_tokens: Config of a loader over held-out images.
        linear_probes: By name of the report, ``train_dataloader`` and
            ``test_dataloader``: configs of loaders over labelled images.
        baseline: Address of other weights to compare linear probes with.

    Raises:
        ValueError: If an image of a linear probe has no label.
    """

    def __init__(
        self,
        masked_tokens: dict | None = None,
        visual_tokens: dict | None = None,
        linear_probes: Mapping[str, Mapping[str, dict]] | None = None,
        baseline: str | None = None,
    ) -> None:
        self.masked_tokens = masked_tokens
        self.visual_tokens = visual_tokens
        self.linear_probes = linear_probes or {}
        self.baseline = baseline

    def before_train(self, runner: Runner) -> None:
        """List the images: what is missing shows before hours are spent."""
        self._masked = _loaders(runner, [self.masked_tokens])
        self._whole = _loaders(runner, [self.visual_tokens])
        self._probes = {}
        if is_main_process():
            for name, loaders in self.linear_probes.items():
                cfgs = loaders['train_dataloader'], loaders['test_dataloader']
                self._probes[name] = [
                    _without_sampler(one) for one in _loaders(runner, cfgs)
                ]

    def after_train(self, runner: Runner) -> None:
        """Measure what is asked for, and write it from rank 0."""
        reports: dict[str, dict[str, Any]] = {}
        with validated_model(runner) as model:
            model.eval()
            for loader in self._masked:
                found = masked_token_accuracy(model, loader)
                reports['masked_token_accuracy'] = found
            for loader in self._whole:
                reports['visual_tokens'] = codebook_use(
                    model, loader, runner.train_dataloader
                )
            for name, (train, test) in self._probes.items():
                read = states_of_model(model)
                reports[name] = linear_probe(model, read, train, test)
                if self.baseline is not None:
                    device = next(model.parameters()).device
                    read = states_of_file(self.baseline, device)
                    found = linear_probe(model, read, train, test)
                    reports[f'{name}_baseline'] = dict(
                        weights=self.baseline, **found
                    )
        for name, report in reports.items():
            runner.logger.info(f'{name.replace("_", " ")}: {report}')
            if runner.rank == 0:
                path = Path(runner.work_dir) / f'{name}.json'
                write_whole(path, f'{json.dumps(report, indent=2)}\n')


def _loaders(runner: Runner, cfgs: Iterable[dict | None]) -> list[DataLoader]:
    return [
        runner.build_dataloader(cfg, seed=runner.seed) for cfg in cfgs if cfg
    ]


def _without_sampler(loader: DataLoader) -> DataLoader:
    """Read all images: the host's samplers leave most to other processes."""
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_size,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
    )
