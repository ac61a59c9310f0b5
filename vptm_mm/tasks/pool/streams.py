"""The sequences of a mixed batch, and where they part.

Symbols: C embedding width; S sequence length; T streams: sequences that
differ, at one block.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .pooled_task import PooledTask


@dataclass
class Stream:
    """A sequence that no other of the batch equals.

    Args:
        image: Index of the image.
        waiting: Tasks that have the image in common so far: none of their
            prompts is in.
        prompted: The task whose prompts are in, if any are.
    """

    image: int
    waiting: list[PooledTask]
    prompted: PooledTask | None = None

    @property
    def tasks(self) -> list[PooledTask]:
        return [self.prompted] if self.prompted else self.waiting


def group_by_masks(tasks: list[PooledTask]) -> list[list[PooledTask]]:
    """Group tasks whose sequences begin alike: with the same masks."""
    groups: dict[tuple, list[PooledTask]] = {}
    for task in tasks:
        groups.setdefault(task.masks, []).append(task)
    return list(groups.values())


def split_streams(
    streams: list[Stream], block: int
) -> tuple[list[int], list[Stream]]:
    """Give each task whose prompts enter at a block a stream of its own."""
    parents, result = [], []
    for index, stream in enumerate(streams):
        entering = [
            task
            for task in stream.waiting
            if task.prompt_tokens.blocks[:1] == (block,)
        ]
        staying = [task for task in stream.waiting if task not in entering]
        if stream.prompted or staying:
            parents.append(index)
            result.append(Stream(stream.image, staying, stream.prompted))
        for task in entering:
            parents.append(index)
            result.append(Stream(stream.image, [], task))
    return parents, result


def put_prompts(
    tokens: Tensor, streams: list[Stream], block: int, plain: int
) -> Tensor:
    """Put the prompts of a block behind the masks, padded with zeros."""
    new = {
        row: stream.prompted.prompt_tokens
        for row, stream in enumerate(streams)
        if stream.prompted and block in stream.prompted.prompt_tokens.blocks
    }
    if not new:
        return tokens
    length = max(prompts.length for prompts in new.values())
    short = plain + length - tokens.size(1)
    tokens = torch.cat(
        [tokens, tokens.new_zeros(len(tokens), max(short, 0), tokens.size(2))],
        dim=1,
    )  # (T, S, C)
    for row, prompts in new.items():
        index = prompts.blocks.index(block)
        values = prompts.prompts[index]  # type: ignore[index]
        tokens[row, plain : plain + prompts.length] = values
    return tokens
