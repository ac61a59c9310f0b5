"""Loads images that are whole."""

import mmengine.fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmpretrain.registry import TRANSFORMS

from ...image_content import UnreadableImageError, decode


@TRANSFORMS.register_module()
class LoadCheckedImage(LoadImageFromFile):
    """The host's ``LoadImageFromFile``, which names what it cannot read.

    The host's decoders fill up images that are cut short, without a word, and
    their errors do not always say which file they are about. Here each such
    file is an error with its path, and the header is asked for the size
    before anything is decoded: ``docs/reliability.md`` has a table.

    An image that is loaded already is left as it is: the host's inferencers
    load images themselves.

    Args:
        to_float32: Whether pixels are float32 instead of uint8.
        color_type: ``flag`` of ``mmcv.imfrombytes``.
        imdecode_backend: ``backend`` of ``mmcv.imfrombytes``.
        backend_args: Where files are, as in ``mmengine.fileio``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read as a whole image.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = 'color',
        imdecode_backend: str = 'cv2',
        *,
        backend_args: dict | None = None,
    ) -> None:
        super().__init__(
            to_float32=to_float32,
            color_type=color_type,
            imdecode_backend=imdecode_backend,
            backend_args=backend_args,
        )

    def transform(self, results: dict) -> dict:
        """Set ``img``, ``img_shape`` and ``ori_shape``."""
        if 'img' in results:
            return results
        path = results['img_path']
        content = mmengine.fileio.get(path, backend_args=self.backend_args)
        try:
            image = decode(content, self.color_type, self.imdecode_backend)
        except UnreadableImageError as error:
            raise ValueError(f'{path}: {error}') from error
        if self.to_float32:
            image = image.astype(np.float32)
        shape = image.shape[:2]
        return {
            **results,
            'img': image,
            'img_shape': shape,
            'ori_shape': shape,
        }
