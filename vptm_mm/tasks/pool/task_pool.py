"""One frozen encoder that serves many tasks at once.

Symbols: B batch; M masks; C embedding width; K classes; T sequences that
differ, at the last block.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...models.encoder import FrozenEncoder
from ...weights import warn_of_preprocessing
from ...weights.identity import OtherEncoderError
from ..build import frozen_init, open_task
from ..names import name_and_path, name_files
from ..task import Task
from .mixed_batch import MixedBatch
from .pooled_task import (
    Picture,
    PooledTask,
    Prediction,
    PreparedImage,
    list_images,
)

Names = str | Sequence[str]


@MODELS.register_module()
class VPTMTaskPool(nn.Module):
    """One frozen BEiT v2 and any number of tasks on it.

    Tasks are added and removed at run time; the encoder is not touched. A
    batch may hold images of different tasks, and one image may be asked of
    several: the frozen blocks run once for the whole batch, and what several
    tasks of an image have in common, the blocks before their first prompts,
    is computed once per image. For inference only.

    Args:
        encoder: As in ``VPTMBackbone``.
        num_visual_tokens: Visual tokens V of the token predictor, which tasks
            with ``visual_token='logits'`` need; None for a pool without.
        init_cfg: As in ``VPTMBackbone``.
        dtype: As in ``VPTMBackbone``; tasks with another one are refused.

    Shape:
        - Input: ``(B, in_channels, img_size, img_size)``, normalised
        - Output: a dict for each image, from task names to scores ``(K,)``

    Raises:
        ValueError: If a task does not fit the encoder, or is not in the pool.
        RuntimeError: If it runs without pre-trained weights.

    Example:
        >>> pool = VPTMTaskPool.from_files(['birds.safetensors'])
        >>> pool.add('dogs.safetensors')
        'dogs'
        >>> results = pool.predict(['a.jpg', 'b.jpg'], ['birds', 'dogs'])
        >>> results[0]['birds']['pred_class']
        'Black_footed_Albatross'
    """

    def __init__(
        self,
        encoder: dict,
        num_visual_tokens: int | None = None,
        init_cfg: dict | None = None,
        dtype: str = 'float32',
    ) -> None:
        super().__init__()
        self.encoder = FrozenEncoder(
            encoder, num_visual_tokens, init_cfg, dtype=dtype
        )
        self.dtype = dtype
        self._tasks: dict[str, PooledTask] = {}
        # Now, before anybody changes the type of the numbers.
        identities = map(self.encoder.identity_with, (False, True))
        self._identities = {one.sha256: one for one in identities if one}
        self.eval()

    @classmethod
    def from_files(
        cls,
        files: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
        weights: str | None = None,
    ) -> 'VPTMTaskPool':
        """Build a pool from task files, on the encoder that they name.

        Its ``dtype`` is that of the tasks.

        Args:
            files: A task file or several, each a path, an address or
                ``'NAME=FILE'``; or a dict from names to task files. A
                checkpoint in its work dir is read as one.
            weights: Path or address of the pre-trained weights; those of the
                first task by default.
        """
        if not files:
            raise ValueError('files is empty; a pool begins with a task file.')
        tasks = {k: open_task(path) for k, path in name_files(files).items()}
        first = next(iter(tasks.values()))
        counts = filter(None, map(_visual_tokens, tasks.values()))
        pool = cls.for_task(first, weights, next(counts, None))
        for name, task in tasks.items():
            pool.add(task, name)
        return pool

    @classmethod
    def for_task(
        cls,
        task: Task,
        weights: str | None = None,
        num_visual_tokens: int | None = None,
    ) -> 'VPTMTaskPool':
        """Build a pool without tasks, on the encoder that a task names.

        Args:
            task: The task, whose ``dtype`` the pool has.
            weights: As in ``from_files``.
            num_visual_tokens: As in the class.
        """
        return cls(
            task.backbone['encoder'],
            num_visual_tokens,
            frozen_init(task, weights),
            task.backbone.get('dtype', 'float32'),
        )

    @property
    def tasks(self) -> dict[str, PooledTask]:
        """The tasks by name, in a dict of their own."""
        return dict(self._tasks)

    def add(self, task: Task | str | Path, name: str | None = None) -> str:
        """Add a task; the others and the encoder are not touched.

        Args:
            task: A task, or a task file as in ``from_files``.
            name: Its name in the pool; that of the file by default.

        Returns:
            The name.

        Raises:
            OtherEncoderError: If the task was tuned on another encoder.
            ValueError: If the name is taken, or the task does not fit.
        """
        if not isinstance(task, Task):
            of_file, path = name_and_path(task)
            name = of_file if name is None else name
            task = open_task(path)
        if not name:
            raise ValueError(f'name={name!r} must not be empty.')
        if name in self._tasks:
            raise ValueError(
                f'task {name!r} is in the pool already; remove it first, or '
                'give another name.'
            )
        try:
            pooled = self._fit(task)
        except OtherEncoderError as error:
            raise OtherEncoderError(f'task {name!r}: {error}') from error
        except Exception as error:  # a config can be wrong in any way
            raise ValueError(f'task {name!r}: {error}') from error
        warn_of_preprocessing(self.encoder, pooled.data_preprocessor)
        # The pool may have been moved, to another type of number, too; what
        # was tuned is float32 at least.
        like = self.encoder.cls_token
        dtype = torch.promote_types(like.dtype, torch.float32)
        self._tasks[name] = pooled.to(like.device, dtype).eval()
        return name

    def _fit(self, task: Task) -> PooledTask:
        dtype = task.backbone.get('dtype', 'float32')
        if dtype != self.dtype:
            raise OtherEncoderError(
                f'it was tuned with dtype={dtype!r}, and the pool has dtype='
                f'{self.dtype!r}; build another pool for tasks with dtype='
                f'{dtype!r}.'
            )
        shared = {t.layout: t.sequence for t in self._tasks.values()}
        pooled = PooledTask(task, self.encoder, shared)
        if not self._identities:
            raise ValueError(
                'the pool has no pre-trained weights: set init_cfg.'
            )
        first, *_ = self._identities.values()
        own = self._identities.get(task.frozen_sha256, first)
        own.require(task.identity)
        return pooled

    def remove(self, name: str) -> None:
        """Take a task out of the pool."""
        self._task(name)
        del self._tasks[name]

    def _task(self, name: str) -> PooledTask:
        if name not in self._tasks:
            raise ValueError(
                f'task {name!r} is not in the pool; it holds '
                f'{sorted(self._tasks) or "no task"}.'
            )
        return self._tasks[name]

    def _apply(self, fn: Any, recurse: bool = True) -> 'VPTMTaskPool':
        # Tasks are not sub-modules: the state dict is the encoder's.
        super()._apply(fn, recurse)
        for task in self._tasks.values():
            task._apply(fn, recurse)
        return self

    def predict(
        self,
        images: str | Path | Iterable[Picture],
        tasks: Names | Sequence[Names],
        batch_size: int = 32,
    ) -> list[dict[str, Prediction]]:
        """Classify images, each by its own task or tasks.

        A file is read as the task's own pipeline reads it, with the options
        of its loader; arrays and images of Pillow start behind the loader.

        Args:
            images: Paths, arrays ``(height, width, 3)`` in uint8 and BGR, or
                images of Pillow; or one path, of an image or of a folder,
                whose images are taken in the order of their names.
            tasks: One or several names for each image; or one name for all.
            batch_size: Images that are read and classified at a time.

        Returns:
            For each image a dict from task names to ``pred_label``,
            ``pred_score``, ``pred_scores`` and ``pred_class``, as MMPretrain's
            inferencer gives them.

        Raises:
            FileNotFoundError: If an image is not there.
            TypeError: If an image is of another type.
            ValueError: If a task is not in the pool, an image is unreadable,
                or their numbers differ.
        """
        if batch_size < 1:
            raise ValueError(f'batch_size={batch_size} must be >= 1.')
        images = list_images(images)
        asked = list(zip(images, self._names(tasks, len(images)), strict=True))
        results = []
        for start in range(0, len(asked), batch_size):
            batch = asked[start : start + batch_size]
            results += self.classify([self.prepare(*pair) for pair in batch])
        return results

    def prepare(self, image: Picture, tasks: Names) -> PreparedImage:
        """Read an image and make it ready for its task or tasks."""
        (names,) = self._names([tasks], 1)
        readers: dict[str, list[str]] = {}
        for name in names:
            kind = self._tasks[name].preparation
            readers.setdefault(kind, []).append(name)
        groups = [*readers.values()]
        inputs = [self._tasks[group[0]].prepare(image) for group in groups]
        return PreparedImage(inputs, groups, names)

    def classify(
        self, images: Sequence[PreparedImage]
    ) -> list[dict[str, Prediction]]:
        """Classify images that ``prepare`` made ready, as one batch.

        Returns:
            As ``predict``.
        """
        if not images:
            return []
        inputs = torch.stack([x for image in images for x in image.inputs])
        # Another process may have prepared them, which has no GPU.
        inputs = inputs.to(self.encoder.cls_token.device)
        scores = iter(self(inputs, [r for i in images for r in i.readers]))
        results = []
        for image in images:
            found = [
                pair for _ in image.inputs for pair in next(scores).items()
            ]
            by_name = {k: self._tasks[k].prediction(s) for k, s in found}
            results.append({name: by_name[name] for name in image.names})
        return results

    def _names(
        self, tasks: Names | Sequence[Names], count: int
    ) -> list[list[str]]:
        if isinstance(tasks, str):
            tasks = [tasks] * count
        if len(tasks) != count:
            raise ValueError(
                f'{len(tasks)} tasks do not fit {count} images; give one or '
                'several names for each image.'
            )
        names = [[t] if isinstance(t, str) else list(t) for t in tasks]
        for group in names:
            for name in group:
                self._task(name)
            if not group or len(set(group)) < len(group):
                raise ValueError(
                    f'tasks of an image {group} must name one at least, and '
                    'none twice.'
                )
        return names

    @torch.no_grad()
    def forward(
        self, x: Tensor, tasks: Names | Sequence[Names]
    ) -> list[dict[str, Tensor]]:
        names = self._names(tasks, len(x))
        if not names:
            return []
        batch = self._batch(names)
        tokens = self.encoder.embed(x, num_masks=batch.num_masks)
        states = self.encoder.run(
            tokens, batch.bias, needed=batch.masks, steps=batch
        )
        scores = iter(batch.score(states))
        return [{name: next(scores) for name in group} for group in names]

    def rows(self, image: PreparedImage) -> dict[str, int]:
        """Return the row of each task's sequence at the last block.

        Args:
            image: An image that is classified alone; tasks without prompts
                may share a sequence.
        """
        batch = self._batch(image.readers)
        batch.part(self.encoder.num_layers - 1)
        names = [name for readers in image.readers for name in readers]
        return dict(zip(names, batch.rows, strict=True))

    def _batch(self, names: list[list[str]]) -> MixedBatch:
        asked = [
            (image, self._tasks[name])
            for image, group in enumerate(names)
            for name in group
        ]
        return MixedBatch(self.encoder, asked)


def _visual_tokens(task: Task) -> int | None:
    """Return the size of the token predictor that a task was tuned on."""
    backbone = task.backbone
    count = backbone.get('num_visual_tokens')
    if backbone['type'] != 'VPTMBackbone':
        return count
    return (
        (count or 8192) if backbone.get('visual_token') == 'logits' else None
    )
