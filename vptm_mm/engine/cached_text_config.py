"""A config whose text is formatted once."""

import copy
from typing import Any

from mmengine.config import Config


class CachedTextConfig(Config):
    """The host's config, which formats its text only after a change.

    The host formats it whenever a checkpoint is written, which can take longer
    than to train an epoch of a small task.
    """

    @classmethod
    def of(cls, cfg: Config) -> 'CachedTextConfig':
        """Return the same config as one of this class."""
        cached = cls.__new__(cls)
        cached.__setstate__(copy.deepcopy(cfg).__getstate__())
        return cached

    @property
    def pretty_text(self) -> str:
        """The text, as the host formats it."""
        known: tuple[Any, str] | None = self.__dict__.get('_cached_text')
        content = self.to_dict()
        if known is None or known[0] != content:
            known = (copy.deepcopy(content), super().pretty_text)
            self.__dict__['_cached_text'] = known
        return known[1]
