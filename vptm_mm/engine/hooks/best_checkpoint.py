"""Tests the best checkpoint when training ends."""

import json
from pathlib import Path

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS

from ...weights import write_whole


@HOOKS.register_module()
class BestCheckpointTestHook(Hook):
    """Load the best checkpoint by validation accuracy and test it, once.

    The list of test images is read before training: what is missing there is
    found before the first step. The result goes to the log and to
    ``test_results.json`` in the work dir.
    ``tools/test.py`` with that checkpoint gives the same figures.
    """

    # After CheckpointHook, which writes the last and the best checkpoint.
    priority = 'LOWEST'

    def before_run(self, runner: Runner) -> None:
        """Read the list of test images, if training is to begin."""
        will_train = isinstance(runner._train_loop, BaseLoop)
        if will_train and runner._test_loop is not None:
            runner.test_loop  # noqa: B018 (builds it)

    def after_train(self, runner: Runner) -> None:
        """Test, if there is a best checkpoint and a test set."""
        if runner._test_loop is None:
            return
        path = find_best(runner)
        if path is None:
            runner.logger.warning(
                'No best checkpoint by validation, so none was tested; run '
                'tools/test.py with the checkpoint of your choice.'
            )
            return
        runner.logger.info(f'Testing the best checkpoint, {path}')
        runner.load_checkpoint(str(path))
        metrics = runner.test_loop.run()
        if runner.rank == 0:
            result = dict(checkpoint=path.name, metrics=metrics)
            # Some metrics are tensors or arrays.
            text = json.dumps(result, indent=2, default=lambda x: x.tolist())
            results = Path(runner.work_dir) / 'test_results.json'
            write_whole(results, f'{text}\n')


def find_best(runner: Runner) -> Path | None:
    """Return the path of the best checkpoint, also in a moved work dir."""
    best = runner.message_hub.get_info('best_ckpt', None)
    paths = [] if best is None else [Path(best)]
    # A copied work dir has its own.
    paths = [Path(runner.work_dir, path.name) for path in paths] + paths
    # Only rank 0 writes checkpoints and knows them; all must agree.
    known = [next((path for path in paths if path.is_file()), None)]
    broadcast_object_list(known)
    return known[0]
