"""One frozen backbone that serves many tasks at once.

Symbols: B batch; N patches; P prompt tokens; M masks; C embedding width;
S sequence length; T streams: sequences that differ, at one block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from ...models.backbones.encoder_block import run_block
from ...models.backbones.frozen_beit import FrozenBEiT
from ...nn import TokenSequence, tensors_sha256
from ...weights import warn_of_preprocessing
from .. import (
    Task,
    encoder_settings,
    frozen_init,
    name_and_path,
    read_task,
)
from .pooled_task import Picture, PooledTask, backbone_options
from .streams import Stream, group_by_masks, put_prompts, split_streams

Names = str | Sequence[str]


@dataclass(frozen=True)
class PreparedImage:
    """An image that is ready for its tasks.

    Args:
        inputs: One for each way to prepare it, ``(3, H, W)``.
        readers: The names of the tasks that read each of them.
        names: The names of all tasks, in the order of the results.
    """

    inputs: list[Tensor]
    readers: list[list[str]]
    names: list[str]


@MODELS.register_module()
class VPTMTaskPool(FrozenBEiT):
    """One frozen BEiT v2 and any number of tasks on it.

    Tasks are added and removed at run time; the frozen backbone is not
    touched. A batch may hold images of different tasks, and one image may be
    asked of several: the frozen blocks run once for the whole batch, and what
    several tasks of an image have in common, the blocks before their first
    prompts, is computed once per image. For inference only.

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
        ValueError: If a task does not fit the backbone, or is not in the pool;
            or a state dict brings another backbone while tasks are in.
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
        super().__init__(encoder, num_visual_tokens, init_cfg, dtype=dtype)
        self.dtype = dtype
        self._tasks: dict[str, PooledTask] = {}
        self._load_pretrained(init_cfg)
        if self.is_pretrained:
            # Now, before anybody changes the type of the numbers.
            self._digest(with_predictor=False)
        self.eval()

    @classmethod
    def from_files(
        cls,
        files: Sequence[str | Path] | Mapping[str, str | Path],
        weights: str | None = None,
    ) -> 'VPTMTaskPool':
        """Build a pool from task files, on the backbone that they name.

        Its ``dtype`` is that of the tasks.

        Args:
            files: Task files, each a path, an address or ``'NAME=FILE'``; or
                a dict from names to task files.
            weights: Path or address of the pre-trained weights; those of the
                first task by default.
        """
        if not files:
            raise ValueError('files is empty; a pool begins with a task file.')
        named = _named(files)
        tasks = {name: read_task(path) for name, path in named.items()}
        first = next(iter(tasks.values()))
        options = [backbone_options(task) for task in tasks.values()]
        needed = [
            option['num_visual_tokens']
            for option in options
            if option['visual_token'] == 'logits'
        ]
        pool = cls(
            options[0]['encoder'],
            needed[0] if needed else None,
            frozen_init(first, weights),
            options[0]['dtype'],
        )
        for name, task in tasks.items():
            pool.add(task, name)
        return pool

    @property
    def tasks(self) -> dict[str, PooledTask]:
        """The tasks by name, in a dict of their own."""
        return dict(self._tasks)

    def add(self, task: Task | str | Path, name: str | None = None) -> str:
        """Add a task; the others and the backbone are not touched.

        Args:
            task: A task, or a task file as in ``from_files``.
            name: Its name in the pool; that of the file by default.

        Returns:
            The name.

        Raises:
            ValueError: If the name is taken, or the task does not fit.
        """
        if not isinstance(task, Task):
            of_file, path = name_and_path(task)
            name = of_file if name is None else name
            task = read_task(path)
        if not name:
            raise ValueError(f'name={name!r} must not be empty.')
        if name in self._tasks:
            raise ValueError(
                f'task {name!r} is in the pool already; remove it first, or '
                'give another name.'
            )
        try:
            pooled = self._fit(task)
        except Exception as error:  # a config can be wrong in any way
            raise ValueError(f'task {name!r}: {error}') from error
        warn_of_preprocessing(self, pooled.data_preprocessor)
        # The pool may have been moved, to another type of number, too; what
        # was tuned is float32 at least.
        like = self.encoder.cls_token
        dtype = torch.promote_types(like.dtype, torch.float32)
        self._tasks[name] = pooled.to(like.device, dtype).eval()
        return name

    def _fit(self, task: Task) -> PooledTask:
        if self.frozen_sha256 is None:
            raise ValueError(
                'the pool has no pre-trained weights; set init_cfg=dict(type='
                "'Pretrained', checkpoint=...)."
            )
        kind = task.backbone['type']
        if kind != 'VPTMBackbone':
            raise ValueError(
                f'its backbone is {kind!r}; a pool takes VPTMBackbone.'
            )
        options = backbone_options(task)
        if options['dtype'] != self.dtype:
            raise ValueError(
                f'it was tuned with dtype={options["dtype"]!r}, and the pool '
                f'has dtype={self.dtype!r}; build another pool for tasks with '
                f'dtype={options["dtype"]!r}.'
            )
        pooled = PooledTask(task, self.encoder.embed_dims)
        reads_logits = pooled.visual_token == 'logits'
        if reads_logits and self.token_predictor is None:
            raise ValueError(
                "it reads visual_token='logits', and the pool has no token "
                'predictor; build the pool with num_visual_tokens='
                f'{options["num_visual_tokens"]}.'
            )
        ours = self._digest(reads_logits)
        if task.frozen_sha256 != ours:
            raise ValueError(
                f'it was tuned on frozen tensors of sha256 '
                f'{task.frozen_sha256}, and those of the pool have {ours}; '
                'build a pool on the weights that it was tuned on.'
            )
        self.require_settings(encoder_settings(task))
        depth = len(self.encoder.layers)
        if max(pooled.prompt_tokens.blocks, default=0) >= depth:
            raise ValueError(
                f'prompt_blocks={pooled.prompt_tokens.blocks} must be in '
                f'0..{depth - 1}.'
            )
        same = [t for t in self._tasks.values() if t.layout == pooled.layout]
        grid, mask_bias, length, prompt_bias = pooled.layout
        pooled.sequence = (
            same[0].sequence
            if same
            else TokenSequence(
                self.encoder.patch_resolution,
                grid,
                mask_bias,
                length,
                'after_mask',
                prompt_bias,
            )
        )
        return pooled

    def _digest(self, with_predictor: bool) -> str:
        if with_predictor or self.token_predictor is None:
            return str(self.frozen_sha256)
        if self._encoder_sha256[0] != self.frozen_sha256:
            encoder = {
                name: tensor
                for name, tensor in self.frozen_state_dict().items()
                if name.startswith('encoder.')
            }
            self._encoder_sha256 = (
                self.frozen_sha256,
                tensors_sha256(encoder),
            )
        return self._encoder_sha256[1]

    # The digest of all frozen tensors, and of the encoder's among them.
    _encoder_sha256: tuple[str | None, str] = (None, '')

    def remove(self, name: str) -> None:
        """Take a task out of the pool.

        Raises:
            ValueError: If there is none of that name.
        """
        self._task(name)
        del self._tasks[name]

    def _task(self, name: str) -> PooledTask:
        if name not in self._tasks:
            raise ValueError(
                f'task {name!r} is not in the pool; it holds '
                f'{sorted(self._tasks) or "no task"}.'
            )
        return self._tasks[name]

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: Any
    ) -> None:
        before = self._read_sha256, self._unrounded
        super()._load_from_state_dict(state_dict, prefix, *args)
        if self._tasks and self.frozen_sha256 != before[0]:
            found = self.frozen_sha256
            self._read_sha256, self._unrounded = before
            raise ValueError(
                f'tasks {sorted(self._tasks)} were tuned on frozen tensors of '
                f'sha256 {before[0]}, and the state dict has {found}; remove '
                'them first, or build another pool.'
            )

    def _apply(self, fn: Any, recurse: bool = True) -> 'VPTMTaskPool':
        # Tasks are no sub-modules: the state dict is the backbone's.
        super()._apply(fn, recurse)
        for task in self._tasks.values():
            task._apply(fn, recurse)
        return self

    def predict(
        self, images: Sequence[Picture], tasks: Names | Sequence[Names]
    ) -> list[dict[str, dict[str, Any]]]:
        """Classify a batch of images, each by its own task or tasks.

        A file is read as the task's own pipeline reads it, with the options
        of its loader; arrays and images of Pillow start behind the loader.

        Args:
            images: Paths, arrays ``(height, width, 3)`` in uint8 and BGR, or
                images of Pillow.
            tasks: One or several names for each image; or one name for all.

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
        names = self._names(tasks, len(images))
        return self.classify(
            [self.prepare(*pair) for pair in zip(images, names, strict=True)]
        )

    def prepare(self, image: Picture, tasks: Names) -> PreparedImage:
        """Read an image and make it ready for its task or tasks.

        Raises:
            As ``predict``.
        """
        (names,) = self._names([tasks], 1)
        loaded: dict[str, dict] = {}
        inputs: dict[str, Tensor] = {}
        readers: dict[str, list[str]] = {}
        for name in names:
            task = self._task(name)
            if task.loading not in loaded:
                loaded[task.loading] = task.load(image)
            if task.preparation not in inputs:
                prepared = task.prepare(loaded[task.loading])
                inputs[task.preparation] = prepared
            readers.setdefault(task.preparation, []).append(name)
        return PreparedImage([*inputs.values()], [*readers.values()], names)

    def classify(
        self, images: Sequence[PreparedImage]
    ) -> list[dict[str, dict[str, Any]]]:
        """Classify images that ``prepare`` made ready, as one batch.

        Returns:
            As ``predict``.
        """
        if not images:
            return []
        inputs = torch.stack([x for image in images for x in image.inputs])
        scores = iter(self(inputs, [r for i in images for r in i.readers]))
        results = []
        for image in images:
            found: dict[str, Tensor] = {}
            for _ in image.inputs:
                found.update(next(scores))
            results.append(
                {name: self._result(name, found[name]) for name in image.names}
            )
        return results

    def _result(self, name: str, score: Tensor) -> dict[str, Any]:
        shares = score.float().softmax(-1).cpu()
        label = int(shares.argmax())
        return dict(
            pred_scores=shares.numpy(),
            pred_label=label,
            pred_score=float(shares[label]),
            pred_class=self._tasks[name].classes[label],
        )

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
        streams = [
            Stream(image, waiting)
            for image, group in enumerate(names)
            for waiting in group_by_masks([self._tasks[n] for n in group])
        ]
        streams, states = self._run_streams(self._embed(x), streams)
        scores = self._score(streams, states)
        return [
            {name: scores[image, self._tasks[name]] for name in group}
            for image, group in enumerate(names)
        ]

    def _run_streams(
        self, embedded: Tensor, streams: list[Stream]
    ) -> tuple[list[Stream], Tensor]:
        """Run the blocks; streams split where prompts enter."""
        num_masks = max(s.tasks[0].sequence.num_masks for s in streams)
        masks = self.encoder.mask_token.expand(len(streams), num_masks, -1)
        images = [stream.image for stream in streams]
        tokens = torch.cat([embedded[images], masks], 1)  # (T, 1 + N + M, C)
        plain = tokens.size(1)
        biases: dict[tuple, Tensor] = {}
        for block, layer in enumerate(self.encoder.layers):
            parents, streams = split_streams(streams, block)
            if parents != list(range(len(tokens))):
                tokens = tokens[parents]
            tokens = put_prompts(tokens, streams, block, plain)
            bias = self._bias(streams, tokens.size(1), plain, biases)
            read = self._read_in(layer, slice(plain - num_masks, plain))
            tokens = run_block(layer, tokens, bias, read)  # (T, S, C)
        return streams, self.encoder.norm1(tokens)  # (T, M, C)

    def _bias(
        self,
        streams: list[Stream],
        length: int,
        plain: int,
        known: dict[tuple, Tensor],
    ) -> Tensor:
        """The position bias of each stream; one for all where they agree.

        Returns:
            ``(h, S, S)``, or ``(T, h, S, S)``; no token looks at padding.
        """
        keys = [
            (s.tasks[0].layout, True)
            if s.prompted
            # Without prompts in, only the masks matter.
            else (s.tasks[0].masks, False)
            for s in streams
        ]
        for key, stream in zip(keys, streams, strict=True):
            if (key, length) not in known:
                known[key, length] = self._padded_bias(stream, length, plain)
        if len(set(keys)) == 1:
            return known[keys[0], length]
        unique = list(dict.fromkeys(keys))
        stacked = torch.stack([known[key, length] for key in unique])
        return stacked[[unique.index(key) for key in keys]]

    def _padded_bias(self, stream: Stream, length: int, plain: int) -> Tensor:
        sequence = stream.tasks[0].sequence
        table = self.encoder.rel_pos_bias.relative_position_bias_table
        if stream.prompted:
            bias = sequence.prompted_bias(table)
            prompts = stream.prompted.prompt_tokens.length
        else:
            bias = sequence.plain_bias(table)
            prompts = 0
        if bias.size(1) == length:
            return bias
        own = torch.arange(bias.size(1), device=bias.device)
        own[len(own) - prompts :] += plain + prompts - len(own)
        padded = bias.new_full((len(bias), length, length), -torch.inf)
        padded[..., own] = 0
        padded[:, own[:, None], own[None, :]] = bias
        return padded  # (h, S, S)

    def _score(
        self, streams: list[Stream], states: Tensor
    ) -> dict[tuple[int, PooledTask], Tensor]:
        """Apply each task's head to its rows."""
        rows: dict[PooledTask, list[int]] = {}
        for row, stream in enumerate(streams):
            for task in stream.tasks:
                rows.setdefault(task, []).append(row)
        scores = {}
        for task, own in rows.items():
            read = states[own, : task.sequence.num_masks]
            if task.visual_token == 'logits' and self.token_predictor:
                read = self.token_predictor(read).float().log_softmax(-1)
            tuned = next(task.parameters(), read)
            read = read.to(tuned.dtype).flatten(1)
            for row, score in zip(own, task.head((read,)), strict=True):
                scores[streams[row].image, task] = score  # (K,)
        return scores


def _named(
    files: Sequence[str | Path] | Mapping[str, str | Path],
) -> dict[str, str | Path]:
    if isinstance(files, Mapping):
        return dict(files)
    named: dict[str, str | Path] = {}
    for file in files:
        name, path = name_and_path(file)
        if named.setdefault(name, path) is not path:
            raise ValueError(
                f'two task files are named {name!r}; give them names, as in '
                f'first={named[name]} second={path}.'
            )
    return named
