"""Where a state dict does not fit another, for error messages."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

MAX_LINES = 20


@dataclass(frozen=True)
class StateDifference:
    """Names that one state dict wants and another does not give, and back.

    Args:
        missing: Names that are wanted and not given.
        unexpected: Names that are given and not wanted.
        wrong: ``name: what is wrong`` of tensors of another shape.
    """

    missing: list[str]
    unexpected: list[str]
    wrong: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.wrong)

    @property
    def lines(self) -> list[str]:
        """A line for each: ``-`` missing, ``+`` unexpected, ``!`` wrong."""
        return [
            *(f'- {name}' for name in self.missing),
            *(f'+ {name}' for name in self.unexpected),
            *(f'! {text}' for text in self.wrong),
        ]

    def __str__(self) -> str:
        """Return the first lines, and how many follow."""
        lines = self.lines
        if len(lines) > MAX_LINES:
            lines[MAX_LINES:] = [f'... and {len(lines) - MAX_LINES} more']
        return '\n  '.join(lines)


def compare_states(
    wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> StateDifference:
    """Compare names and shapes of two state dicts."""
    return StateDifference(
        missing=sorted(set(wanted) - set(given)),
        unexpected=sorted(set(given) - set(wanted)),
        wrong=[
            f'{name}: {tuple(given[name].shape)} in the file, '
            f'{tuple(wanted[name].shape)} in the model'
            for name in sorted(set(wanted) & set(given))
            if given[name].shape != wanted[name].shape
        ],
    )


def without_derived(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the buffers of a BEiT that follow from its configuration."""
    return {
        name: tensor
        for name, tensor in state.items()
        if not name.endswith('relative_position_index')
    }
