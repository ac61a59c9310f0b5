"""Loads images of a pipeline, and names what it cannot read."""

import mmengine.fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import MMLogger
from mmpretrain.registry import TRANSFORMS

from .image_content import UnreadableImageError, decode


class ImageFileError(ValueError):
    """An image that a data set cannot read.

    A worker of a data loader hands over its traceback as the text; what
    follows the name of this class in it is the text of the error.

    Args:
        text: The file, what is wrong, and what to do.
    """

    def __init__(self, text: str) -> None:
        super().__init__(
            text.rpartition(f'{type(self).__name__}: ')[2].strip()
        )


@TRANSFORMS.register_module()
class LoadCheckedImage(LoadImageFromFile):
    """The host's ``LoadImageFromFile``, which names what it cannot read.

    The host's decoders fill up images that are cut short, without a word, and
    their errors do not always say which file they are about. Here each such
    file is an error with its path, and the header is asked for the size
    before anything is decoded: ``docs/data.md`` says more.

    An image that is loaded already is left as it is: the host's inferencers
    load images themselves.

    With ``cache_mb`` each process keeps what it has decoded, until the first
    image for which there is no room; from then on it keeps no more, and says
    so in the log. What is kept is never handed out, only copies of it. A
    worker of a data loader keeps it from epoch to epoch with
    ``persistent_workers=True`` only.

    Args:
        to_float32: Whether pixels are float32 instead of uint8.
        color_type: ``flag`` of ``mmcv.imfrombytes``.
        imdecode_backend: ``backend`` of ``mmcv.imfrombytes``.
        cache_mb: Decoded pixels that a process keeps at most, in units of
            1e6 bytes; 0 keeps none.
        backend_args: Where files are, as in ``mmengine.fileio``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read as a whole image, or if ``cache_mb``
            is negative.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = 'color',
        imdecode_backend: str = 'cv2',
        cache_mb: float = 0,
        *,
        backend_args: dict | None = None,
    ) -> None:
        super().__init__(
            to_float32=to_float32,
            color_type=color_type,
            imdecode_backend=imdecode_backend,
            backend_args=backend_args,
        )
        if not cache_mb >= 0:
            raise ValueError(
                f'cache_mb={cache_mb} must be >= 0; 0 keeps no images.'
            )
        self.cache_mb = cache_mb
        self._kept: dict[str, np.ndarray] = {}
        # Bytes; None when nothing more is kept.
        self._room = cache_mb * 1e6 or None

    def transform(self, results: dict) -> dict:
        """Set ``img``, ``img_shape`` and ``ori_shape``."""
        if 'img' in results:
            return results
        path = results['img_path']
        if path in self._kept:
            image = self._kept[path].copy()
        else:
            image = self._decode(path)
            self._keep(path, image)
        if self.to_float32:
            image = image.astype(np.float32)
        shape = image.shape[:2]
        return {
            **results,
            'img': image,
            'img_shape': shape,
            'ori_shape': shape,
        }

    def _decode(self, path: str) -> np.ndarray:
        content = mmengine.fileio.get(path, backend_args=self.backend_args)
        try:
            return decode(content, self.color_type, self.imdecode_backend)
        except UnreadableImageError as error:
            raise ImageFileError(f'{path}: {error}') from error

    def _keep(self, path: str, image: np.ndarray) -> None:
        if self._room is None:
            return
        if image.nbytes > self._room:
            self._room = None
            MMLogger.get_current_instance().info(
                f'LoadCheckedImage keeps {len(self._kept)} images, as '
                f'cache_mb={self.cache_mb} allows in a process; it decodes '
                'the others each time.'
            )
            return
        self._kept[path] = image.copy()
        self._room -= image.nbytes
