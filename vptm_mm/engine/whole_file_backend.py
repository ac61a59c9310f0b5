"""A file backend of mmengine with atomic writes."""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from ..weights import write_whole


@register_backend('whole_file')
class WholeFileBackend(LocalBackend):
    """Local files, of which a kill leaves the old one or the new one.

    Chosen by ``default_hooks.checkpoint.backend_args=dict(backend=
    'whole_file')``. Unlike its parent it makes no folder: one that was there
    and is gone means that a file system is gone.

    Raises:
        WriteError: If a file cannot be written.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes."""
        write_whole(filepath, obj)
