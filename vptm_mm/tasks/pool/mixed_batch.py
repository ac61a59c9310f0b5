"""A batch of images of several tasks, whose first blocks are shared.

Symbols: B batch; N patches; P prompt tokens; M masks; C embedding width;
S sequence length; h heads; K classes; T sequences that differ, at one block.
"""

import torch
from torch import Tensor

from ...models.encoder import BlockSteps, FrozenEncoder
from .pooled_task import PooledTask

Asked = list[tuple[int, PooledTask]]


class MixedBatch(BlockSteps):
    """The steps of a mixed batch at each block of the encoder.

    Images that are asked of several tasks are one sequence until the prompts
    of one of them enter; that task then has a sequence of its own. Prompts
    stand last, padded to the longest; no token looks at padding.

    Args:
        encoder: The encoder.
        asked: Which image is asked of which task, image by image.
    """

    def __init__(self, encoder: FrozenEncoder, asked: Asked) -> None:
        self.encoder = encoder
        self.asked = asked
        # For each image and task that is asked: its row of the tokens.
        self.rows = [image for image, _ in asked]
        # For each row: a task whose prompts it holds.
        self.tasks: list[PooledTask] = []
        self.num_masks = max(task.sequence.num_masks for _, task in asked)
        patches = encoder.patch_resolution[0] * encoder.patch_resolution[1]
        self.masks = slice(1 + patches, 1 + patches + self.num_masks)
        self._starts = {0, *(task.start for _, task in asked)}
        self._bias = encoder.position_table

    def enter(self, tokens: Tensor, block: int) -> Tensor:
        """Split the sequences that differ from here on; put in prompts."""
        starts = block in self._starts
        if starts:
            parents = self.part(block)
            if parents != list(range(len(tokens))):
                tokens = tokens[parents]
        tokens = self._put_prompts(tokens, block)
        if starts:
            self._bias = self._stacked_bias(block, tokens.size(1))
        return tokens  # (T, S, C)

    def bias(self, block: int) -> Tensor:
        """Return the position bias, ``(h, S, S)`` or ``(T, h, S, S)``."""
        return self._bias

    def part(self, block: int) -> list[int]:
        """Give each sequence that differs a row; return their old rows."""
        sequences: dict[tuple, int] = {}
        parents, self.tasks = [], []
        rows = []
        for (image, task), row in zip(self.asked, self.rows, strict=True):
            own = task if task.start <= block else task.mask_layout
            if (image, own) not in sequences:
                sequences[image, own] = len(sequences)
                parents.append(row)
                self.tasks.append(task)
            rows.append(sequences[image, own])
        self.rows = rows
        return parents

    def _put_prompts(self, tokens: Tensor, block: int) -> Tensor:
        prompts = {
            row: task.prompts_at(block)
            for row, task in enumerate(self.tasks)
            if block in task.prompt_tokens.blocks
        }
        start = self.masks.stop
        longest = max((len(values) for values in prompts.values()), default=0)
        short = start + longest - tokens.size(1)
        if short > 0:
            padding = tokens.new_zeros(len(tokens), short, tokens.size(2))
            tokens = torch.cat([tokens, padding], dim=1)
        for row, values in prompts.items():
            tokens[row, start : start + len(values)] = values
        return tokens

    def _stacked_bias(self, block: int, length: int) -> Tensor:
        """The position bias of each sequence; one for all where they agree."""
        table = self.encoder.position_table
        maps: dict[tuple, Tensor] = {}
        places = []
        for task in self.tasks:
            # Without prompts in, only the masks matter.
            prompted = task.start <= block
            kind = task.layout if prompted else task.mask_layout
            if kind not in maps:
                maps[kind] = (
                    self._pad(
                        task.sequence.prompted_bias(table),
                        task.prompt_tokens.length,
                        length,
                    )
                    if prompted
                    else self._pad(task.sequence.plain_bias(table), 0, length)
                )
            places.append(list(maps).index(kind))
        if len(maps) == 1:
            return maps[kind]
        return torch.stack([*maps.values()])[places]

    def _pad(self, bias: Tensor, prompts: int, length: int) -> Tensor:
        """Pad a position bias so that no token looks at padding."""
        if bias.size(1) == length:
            return bias
        own = torch.arange(bias.size(1), device=bias.device)
        own[len(own) - prompts :] += self.masks.stop + prompts - len(own)
        padded = bias.new_full((len(bias), length, length), -torch.inf)
        padded[..., own] = 0
        padded[:, own[:, None], own[None, :]] = bias
        return padded  # (h, S, S)

    def score(self, states: Tensor) -> list[Tensor]:
        """Turn the states of the masks into scores of the classes.

        Args:
            states: ``(T, M, C)``.

        Returns:
            ``(K,)`` for each image and task that is asked.
        """
        places: dict[PooledTask, list[int]] = {}
        for place, (_, task) in enumerate(self.asked):
            places.setdefault(task, []).append(place)
        scores: dict[int, Tensor] = {}
        for task, own in places.items():
            own_states = states[[self.rows[place] for place in own]]
            found = task.score(own_states, self.encoder)
            scores.update(zip(own, found, strict=True))
        return [scores[place] for place in range(len(self.asked))]
