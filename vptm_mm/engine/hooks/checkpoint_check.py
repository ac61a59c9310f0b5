"""Refuses checkpoints, tasks and heads that do not fit the run."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor

from ...host import asked_to_resume, open_datasets
from ...tasks import SHA256_ENTRY, require_fit
from ...weights import warn_of_preprocessing
from ..prefix import StatePreprocessor
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
            _require_classes(runner, checkpoint.get('meta') or {})
        require_fit(model, checkpoint)
        if is_task and asked_to_resume(runner)[0] and not has_optimizer:
            runner.logger.warning(
                'A task file has no state of an optimizer: the schedule '
                'starts at epoch 0, from what the task holds.'
            )


def _starts_from(runner: Runner, checkpoint: dict) -> bool:
    """Whether a run trains other classes than those of the task."""
    dataset = open_datasets(runner).get('train')
    if dataset is None:
        return False
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    old = [str(name) for name in meta.get('classes') or ()]
    metainfo = getattr(dataset, 'metainfo', {})
    new = [str(name) for name in metainfo.get('classes') or ()]
    if not old or not new or old == new:
        return False
    head: Any = unwrap_model(runner.model).head
    if not hasattr(head, 'class_tensors'):
        rest = 'its head starts afresh'
    elif head.prototype_init == 'discriminant':
        rest = 'projection and prototypes come from the training images'
    else:
        rest = 'so is its projection; the prototypes start afresh'
    runner.logger.info(
        f'The task has {len(old)} classes, the training images {len(new)}'
        f'{_first_difference(old, new, "task", "data set")}. What its '
        f'backbone has learnt, as prompts, is taken; {rest}.'
    )
    return True


def _own_class_tensors(model: BaseModel) -> dict[str, Tensor]:
    """Return what belongs to the classes of a head: all of it, or a part."""
    names = getattr(model.head, 'class_tensors', model.head.state_dict())
    own = model.head.state_dict()
    return {f'head.{name}': own[name] for name in names}


def _require_classes(runner: Runner, meta: dict) -> None:
    """A task is tested on images of its own classes."""
    wanted = (meta.get('dataset_meta') or {}).get('classes')
    for _, metainfo in _metainfos(runner):
        found = metainfo.get('classes')
        if not wanted or not found or list(map(str, found)) == list(wanted):
            continue
        raise ValueError(
            f'the task has {len(wanted)} classes, the data set {len(found)}, '
            f'and their names differ'
            f'{_first_difference(wanted, found, "task", "data set")}. Use the '
            'data set that the task was tuned on.'
        )


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
    for key, why in (
        (
            'drawn_from',
            'NWay samples by seed from all classes of a data set: ',
        ),
        ('classes', ''),
    ):
        named = [(split, list(m[key])) for split, m in metainfos if m.get(key)]
        for split, found in named[1:]:
            first, wanted = named[0]
            if found != wanted:
                raise ValueError(
                    f'{why}the {first} data set has {len(wanted)} classes, '
                    f'the {split} data set {len(found)}, and their names '
                    f'differ{_first_difference(wanted, found, first, split)}. '
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
