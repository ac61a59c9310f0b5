"""Refuses checkpoints, tasks and heads that do not fit the run."""

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor

from ...host import asked_to_resume, open_datasets
from ...tasks import SHA256_ENTRY, require_fit
from ...weights import warn_of_preprocessing
from ..prefix_states import StatePreprocessor
from ..unwrap import unwrap_model


@HOOKS.register_module()
class CheckpointCheckHook(Hook):
    """Compare a checkpoint or a task file with the run before it is loaded.

    The host loads with ``strict=False`` and only logs what is missing, so a
    wrong checkpoint tests a model of random parts. This hook raises instead,
    for ``test``, ``resume`` and ``load_from``. Training may start from a task
    of other classes: its prompts and its projection are taken, and the classes
    start afresh.

    A head with too many classes would train without a word, and one with too
    few ends in an error of indices, so it is compared with the data sets; if
    they do not name their classes, it is left alone. Images that are not
    normalised as in pre-training are warned of.

    Raises:
        ValueError: If a tensor is missing (``-``), unexpected (``+``) or of
            another shape (``!``), if a task has other class names than the
            images that it is tested on, if the head has another number of
            classes than a data set, if the data sets have other class names,
            or if ``NWay`` samples from other classes in one of them.
    """

    # Before ClassMeanPrototypesHook, whose prototypes it may ask for again.
    priority = 'ABOVE_NORMAL'

    # Whether the run started from a task of other classes.
    _starts_classes = False

    def before_run(self, runner: Runner) -> None:
        """Warn if images are not prepared as in pre-training."""
        model = unwrap_model(runner.model)
        preprocessor = getattr(model, 'data_preprocessor', None)
        if isinstance(preprocessor, StatePreprocessor):  # trained before
            preprocessor = preprocessor.images
        warn_of_preprocessing(getattr(model, 'backbone', None), preprocessor)

    def before_train(self, runner: Runner) -> None:
        """Compare the head with all images that the run will read."""
        head: Any = getattr(unwrap_model(runner.model), 'head', None)
        if self._starts_classes and hasattr(head, 'restart_prototypes'):
            head.restart_prototypes()
        _require_classes_of_images(runner)

    def before_val(self, runner: Runner) -> None:
        """Compare the head with the images to validate on."""
        _require_classes_of_images(runner)

    def before_test(self, runner: Runner) -> None:
        """Compare the head with the images to test on."""
        _require_classes_of_images(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Raise one error that names all differences."""
        model = unwrap_model(runner.model)
        state = checkpoint.get('state_dict', checkpoint)
        is_task = SHA256_ENTRY in state
        has_optimizer = 'optimizer' in checkpoint
        if is_task and not has_optimizer and _starts_from(runner, checkpoint):
            state.update(_own_class_tensors(model))
            self._starts_classes = True
        elif is_task:
            _require_classes(runner, _classes_of_task(checkpoint))
        require_fit(model, checkpoint)
        if is_task and asked_to_resume(runner)[0] and not has_optimizer:
            runner.logger.warning(
                'A task file has no state of an optimizer: the schedule '
                'starts at epoch 0, from what the task holds.'
            )


def _starts_from(runner: Runner, checkpoint: dict) -> bool:
    """Whether a run trains other classes than those of the task."""
    dataset = open_datasets(runner).get('train')
    old = _classes_of_task(checkpoint)
    new = getattr(dataset, 'metainfo', {}).get('classes')
    if not old or not new or old == [*map(str, new)]:
        return False
    runner.logger.info(
        f'The task has {len(old)} classes, the training images {len(new)}'
        f'{_first_difference(old, new, "task", "data set")}. What its '
        'backbone has learnt, as prompts, is taken; the classes start afresh.'
    )
    return True


def _classes_of_task(checkpoint: dict) -> list[str]:
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    return [str(name) for name in meta.get('classes') or ()]


def _own_class_tensors(model: BaseModel) -> dict[str, Tensor]:
    """Return what belongs to the classes of a head: all of it, or a part."""
    names = getattr(model.head, 'class_tensors', model.head.state_dict())
    own = model.head.state_dict()
    return {f'head.{name}': own[name] for name in names}


def _require_classes(runner: Runner, wanted: list[str]) -> None:
    """A task is tested on images of its own classes."""
    for split, metainfo in _metainfos(runner):
        found = metainfo.get('classes')
        if wanted and found and [*map(str, found)] != wanted:
            _refuse('task', wanted, f'{split} data set', found)


def _require_classes_of_images(runner: Runner) -> None:
    """A label means the same class in the head and in each data set."""
    head = getattr(unwrap_model(runner.model), 'head', None)
    count = getattr(head, 'num_classes', None)
    metainfos = list(_metainfos(runner))
    for split, metainfo in metainfos:
        classes = metainfo.get('classes')
        if classes and count not in (None, len(classes)):
            raise ValueError(
                f'the head has num_classes={count}, and the {split} data set '
                f'{len(classes)} classes; make them equal, by --cfg-options '
                f'model.head.num_classes={len(classes)} or another data set.'
            )
    by_seed = 'NWay samples by seed from all classes of a data set: '
    for key, why in ('sampled_from', by_seed), ('classes', ''):
        named = [(f'{s} data set', m[key]) for s, m in metainfos if m.get(key)]
        for split, found in named[1:]:
            if [*found] != [*named[0][1]]:
                _refuse(*named[0], split, found, why)


def _refuse(
    here: str,
    one: Sequence[str],
    there: str,
    other: Sequence[str],
    why: str = '',
) -> NoReturn:
    raise ValueError(
        f'{why}the {here} has {len(one)} classes, the {there} {len(other)}, '
        f'and their names differ{_first_difference(one, other, here, there)}. '
        'Give both the same classes, in the same order.'
    )


def _first_difference(
    one: Sequence[str], other: Sequence[str], here: str, there: str
) -> str:
    for label, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return (
                f': class {label} is {mine!r} in the {here} and {yours!r} in '
                f'the {there}'
            )
    return ''


def _metainfos(runner: Runner) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what the data sets that are open say of themselves."""
    for split, dataset in open_datasets(runner).items():
        yield split, getattr(dataset, 'metainfo', {})
