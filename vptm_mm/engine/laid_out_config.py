"""A config whose text is laid out once."""

import copy
from typing import Any

from mmengine.config import Config


class LaidOutConfig(Config):
    """The host's config, which formats its text anew only after a change.

    The host formats it whenever a checkpoint is written, which can take longer
    than to train an epoch of a small task.
    """

    @classmethod
    def of(cls, cfg: Config) -> 'LaidOutConfig':
        """Return the same config as one of this class."""
        laid_out = cls.__new__(cls)
        laid_out.__setstate__(copy.deepcopy(cfg).__getstate__())
        return laid_out

    @property
    def pretty_text(self) -> str:
        """The text, as the host formats it."""
        known: tuple[Any, str] | None = self.__dict__.get('_laid_out')
        content = self.to_dict()
        if known is None or known[0] != content:
            known = (copy.deepcopy(content), super().pretty_text)
            self.__dict__['_laid_out'] = known
        return known[1]
