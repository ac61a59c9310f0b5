"""Which encoder something was tuned on: its tensors and its configuration."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Entries of a state dict that hold an identity, as bytes.
FROZEN_SHA256 = 'frozen_sha256'
ENCODER_SETTINGS = 'encoder_settings'

# What decides the result of a layer beside its tensors, by its name in torch,
# mmcv and MMPretrain.
SETTINGS = (
    *('eps', 'num_heads', 'scale', 'add_identity'),
    *('stride', 'padding', 'dilation'),
)
# They act in training only.
WITHOUT_EFFECT = ('Dropout', 'DropPath', 'Identity')
MAX_SHOWN = 3


class OtherEncoderError(ValueError):
    """A task was tuned on another encoder than the one at hand."""


@dataclass(frozen=True)
class Identity:
    """Digest and settings of an encoder; equal ones compute the same.

    Args:
        sha256: Digest of the frozen tensors, in hexadecimal.
        settings: ``module_settings`` of the encoder, which tensors do not
            show; None in the first slim checkpoints.
    """

    sha256: str
    settings: Mapping[str, str] | None = None

    def require(self, wanted: 'Identity') -> None:
        """Compare this encoder with the one that a task was tuned on.

        Raises:
            OtherEncoderError: If they differ.
        """
        if wanted.sha256 != self.sha256:
            raise OtherEncoderError(
                'the task was tuned on frozen tensors of sha256 '
                f'{wanted.sha256}, and these have {self.sha256}; give '
                'the file that it was tuned on, by --weights or '
                'model.backbone.init_cfg.checkpoint, or tune it again.'
            )
        if wanted.settings is None or self.settings is None:
            return
        different = [
            f'{name}: {wanted.settings.get(name)} / {self.settings.get(name)}'
            for name in sorted({*wanted.settings, *self.settings})
            if wanted.settings.get(name) != self.settings.get(name)
        ]
        if different:
            shown = '\n  '.join(different[:MAX_SHOWN])
            raise OtherEncoderError(
                'the task was tuned on an encoder of another configuration '
                f'(task / here):\n  {shown}\nSet model.backbone.encoder to '
                'the one that it was tuned on, or tune it again.'
            )

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the entries of a state dict that hold the identity."""
        contents = {FROZEN_SHA256: bytes.fromhex(self.sha256)}
        if self.settings is not None:
            text = json.dumps(dict(self.settings), sort_keys=True)
            contents[ENCODER_SETTINGS] = text.encode()
        return {
            name: torch.frombuffer(bytearray(content), dtype=torch.uint8)
            for name, content in contents.items()
        }

    @classmethod
    def from_tensors(
        cls, sha256: Tensor, settings: Tensor | None
    ) -> 'Identity':
        """Read the entries of a state dict.

        Raises:
            ValueError: If they hold something else.
        """
        content = None
        try:
            digest = bytes(sha256.flatten().tolist())
            if settings is not None:
                content = json.loads(bytes(settings.flatten().tolist()))
        except (TypeError, ValueError):
            digest = b''
        if len(digest) != 32 or not isinstance(content, dict | None):
            raise ValueError(
                f'{FROZEN_SHA256} must be the 32 bytes of a sha256, and '
                f'{ENCODER_SETTINGS} a JSON object in bytes; download the '
                'file again.'
            )
        return cls(digest.hex(), content)


def module_settings(module: nn.Module) -> dict[str, str]:
    """Return the settings that tensors do not show, by sub-module.

    Two modules with equal tensors and equal settings compute the same: their
    norms have one epsilon, their attention one scale, their layers one
    activation.
    """
    settings = {}
    for name, part in module.named_modules():
        shown = [
            f'{key}={vars(part)[key]}' for key in SETTINGS if key in vars(part)
        ]
        is_function = not list(part.parameters()) and not list(part.children())
        if is_function and type(part).__name__ not in WITHOUT_EFFECT:
            shown = [repr(part)]
        if shown:
            settings[name] = ', '.join(shown)
    return settings
