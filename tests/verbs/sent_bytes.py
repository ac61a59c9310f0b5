"""A hook for tests: what the processes send each other in a training step."""

import json
from math import prod
from pathlib import Path

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch.profiler import ProfilerActivity, profile

BYTES = 4  # of a float32


@HOOKS.register_module()
class SentBytesHook(Hook):
    """Write ``sent_bytes.json``: tuned, and sent in each step."""

    priority = 'LOWEST'

    def before_train(self, runner):
        self.sent = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.profile = profile(
            activities=[ProfilerActivity.CPU], record_shapes=True
        )
        self.profile.start()

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ):
        self.profile.stop()
        shapes = [
            shape
            for event in self.profile.events()
            if event.name.startswith('gloo:')
            for shape in event.input_shapes
        ]
        self.sent.append(BYTES * sum(map(prod, shapes)))

    def after_train(self, runner):
        tuned = [p for p in runner.model.parameters() if p.requires_grad]
        report = dict(
            tuned=BYTES * sum(p.numel() for p in tuned), sent=self.sent
        )
        path = Path(runner.work_dir) / 'sent_bytes.json'
        if runner.rank == 0:
            path.write_text(json.dumps(report))
