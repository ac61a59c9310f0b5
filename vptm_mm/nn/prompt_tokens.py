"""Learnable prompt tokens.

Symbols: B batch; S sequence length; P prompt tokens; C embedding width.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .checks import is_int, require_int


class PromptTokens(nn.Module):
    """Learnable prompt tokens for chosen transformer blocks.

    Deep prompts follow Visual Prompt Tuning
    <https://arxiv.org/abs/2203.12119>, section 3.2: prompts are inserted at
    the first prompted block and replaced by new ones at each later one.

    Args:
        embed_dims: Width C of a token.
        length: Prompt tokens P per prompted block; 0 disables prompting.
        blocks: Indices of the prompted blocks, counted from 0.
        depth: Blocks of the encoder.

    Shape:
        - Input: ``(B, S - P, C)`` at the first prompted block, ``(B, S, C)``
          at the others
        - Output: ``(B, S, C)`` at a prompted block, else the input

    Raises:
        ValueError: If ``length`` is not an int, or negative; or, with
            prompts, ``blocks`` is empty, repeats or holds anything but ints
            in 0..``depth`` - 1.
    """

    def __init__(
        self,
        embed_dims: int,
        length: int,
        blocks: Iterable[int],
        depth: int,
    ) -> None:
        super().__init__()
        hint = '; use 0 to run without prompts'
        require_int('prompt_length', length, 0, hint=hint)
        blocks = tuple(blocks) if length else ()
        if length and not (
            blocks
            and all(is_int(one) and 0 <= one < depth for one in blocks)
            and len(set(blocks)) == len(blocks)
        ):
            raise ValueError(
                f'prompt_blocks={blocks} must be in 0..{depth - 1}, one int '
                'at least and none twice; to run without prompts set '
                'prompt_length=0.'
            )
        self.length = length
        self.blocks = tuple(sorted(blocks))
        self.prompts = (
            nn.Parameter(torch.empty(len(blocks), length, embed_dims))
            if length
            else None
        )
        self.reset_parameters()

    def reset_parameters(
        self, std: float = 0.02, mean: Tensor | None = None
    ) -> None:
        """Initialise the prompts, normally distributed.

        Args:
            std: Width of the distribution.
            mean: Its middle, ``(C,)``; zeros by default.
        """
        if self.prompts is not None:
            nn.init.normal_(self.prompts, std=std)
            if mean is not None:
                self.prompts.data += mean

    def forward(self, tokens: Tensor, block: int, start: int) -> Tensor:
        """Put the prompts of ``block`` at position ``start``."""
        if self.prompts is None or block not in self.blocks:
            return tokens
        index = self.blocks.index(block)
        replaced = self.length if index else 0
        prompts = self.prompts[index].to(tokens.dtype)
        prompts = prompts.expand(tokens.size(0), -1, -1)
        return torch.cat(
            [tokens[:, :start], prompts, tokens[:, start + replaced :]], dim=1
        )  # (B, S, C)
