"""What goes into a file: one function from images to class scores.

Symbols: B batch; K classes.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from mmpretrain.models import ClsDataPreprocessor, ImageClassifier
from torch import Tensor, nn

from ..models.backbone import AdaptedBackbone
from ..version import __version__
from ..weights import preprocessing_of

FORMAT = 'vptm_mm.classifier'


class ExportedClassifier(nn.Module):
    """A tuned classifier with one way through it: images in, scores out.

    The scores are raw ones, what leaves the head: MMPretrain's predictions
    are their softmax. Resizing and cropping stay outside.

    Args:
        classifier: An ``ImageClassifier`` on a frozen BEiT v2, with any head
            that returns ``(B, K)``; float32, on the CPU. It is put into
            ``eval()``.
        preprocessing: Whether the classifier's data preprocessor is a part of
            the function.

    Shape:
        - Input: ``(B, in_channels, img_size, img_size)``; with
          ``preprocessing`` uint8 images as the pipeline leaves them, in BGR
          order, otherwise float32 ones as the data preprocessor leaves them
        - Output: ``(B, K)``

    Raises:
        TypeError: If it is not such a classifier.
        ValueError: If a tensor is not float32, or not on the CPU.
    """

    def __init__(
        self, classifier: ImageClassifier, preprocessing: bool = False
    ) -> None:
        super().__init__()
        _require_kind(classifier)
        _require_float32(classifier)
        self.classifier = classifier
        self.preprocessing = preprocessing
        self.eval()

    def prepare(self, images: Tensor) -> Tensor:
        """Put uint8 images through the classifier's data preprocessor."""
        return self.classifier.data_preprocessor(dict(inputs=images))['inputs']

    def forward(self, images: Tensor) -> Tensor:
        if self.preprocessing:
            images = self.prepare(images)
        return self.classifier(images)  # (B, K)

    def describe(
        self, classes: Sequence[str] | None, pipeline: Sequence[dict]
    ) -> dict[str, Any]:
        """Describe the function in words that JSON has.

        Args:
            classes: Names of the classes, in the order of the scores; None to
                number them.
            pipeline: Transforms of a test image, as in an MMPretrain config.

        Raises:
            ValueError: If the number of names is not that of the head.
        """
        num_classes = self.classifier.head.num_classes
        if classes is None:
            classes = [str(i) for i in range(num_classes)]
        if len(classes) != num_classes:
            raise ValueError(
                f'{len(classes)} class names do not fit the head: num_classes='
                f'{num_classes}. Give one for each, or None to number them.'
            )
        backbone = self.classifier.backbone
        preprocessor = self.classifier.data_preprocessor
        known = preprocessing_of(preprocessor)
        is_rgb = preprocessor.to_rgb and not self.preprocessing
        return dict(
            format=FORMAT,
            version=__version__,
            frozen_sha256=backbone.frozen_sha256,
            classes=list(classes),
            image_size=list(backbone.encoder.img_size),
            channel_order='RGB' if is_rgb else 'BGR',
            preprocessing=self.preprocessing,
            mean=known and list(known.mean),
            std=known and list(known.std),
            pipeline=list(pipeline),
        )


def _require_kind(classifier: ImageClassifier) -> None:
    backbone = getattr(classifier, 'backbone', None)
    preprocessor = getattr(classifier, 'data_preprocessor', None)
    if (
        not isinstance(classifier, ImageClassifier)
        or not isinstance(backbone, AdaptedBackbone)
        or not classifier.with_head
        or type(preprocessor) is not ClsDataPreprocessor
    ):
        raise TypeError(
            f'{type(classifier).__name__} with {type(backbone).__name__} and '
            f'{type(preprocessor).__name__} cannot be exported; an '
            'ImageClassifier with VPTMBackbone or another of ours, a head and '
            'ClsDataPreprocessor can. Of test-time augmentation export the '
            'classifier inside it.'
        )


def _require_float32(classifier: ImageClassifier) -> None:
    # Not the state dict: there a frozen bfloat16 tensor is float32.
    for name, tensor in chain(
        classifier.named_parameters(), classifier.named_buffers()
    ):
        is_other = tensor.is_floating_point() and tensor.dtype != torch.float32
        if tensor.device.type != 'cpu' or is_other:
            raise ValueError(
                f'{name} is {tensor.dtype} on {tensor.device}; export writes '
                'float32 models from the CPU: load it with --cfg-options '
                'model.backbone.dtype=float32, then call '
                'classifier.float().cpu().'
            )
