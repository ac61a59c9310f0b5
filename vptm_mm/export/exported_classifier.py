"""What goes into a file: one function from images to class scores.

Symbols: B batch; K classes.
"""

from itertools import chain

import torch
from mmpretrain.models import ClsDataPreprocessor, ImageClassifier
from torch import Tensor, nn

from ..models.backbones.adapted_backbone import AdaptedBackbone


class ExportedClassifier(nn.Module):
    """A tuned classifier with one way through it: images in, scores out.

    The scores are raw ones, what leaves the head: MMPretrain's predictions
    are their softmax. Resizing and cropping stay outside.

    Args:
        classifier: An ``ImageClassifier`` on a frozen BEiT v2, with any head
            that returns ``(B, K)``; float32, on the CPU, in ``eval()``.
        preprocessing: Whether the classifier's data preprocessor is a part of
            the function.

    Shape:
        - Input: ``(B, in_channels, img_size, img_size)``; with
          ``preprocessing`` uint8 images as the pipeline leaves them, in BGR
          order, otherwise float32 ones as the data preprocessor leaves them
        - Output: ``(B, K)``

    Raises:
        TypeError: If it is no such classifier, or its data preprocessor is
            not MMPretrain's ``ClsDataPreprocessor``.
        RuntimeError: If a part of it is in training mode.
        ValueError: If a tensor is not float32, or not on the CPU.
    """

    def __init__(
        self, classifier: ImageClassifier, preprocessing: bool = False
    ) -> None:
        super().__init__()
        _require_kind(classifier)
        _require_mode(classifier)
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


def _require_kind(classifier: ImageClassifier) -> None:
    backbone = getattr(classifier, 'backbone', None)
    if not isinstance(classifier, ImageClassifier) or not isinstance(
        backbone, AdaptedBackbone
    ):
        raise TypeError(
            f'{type(classifier).__name__} with backbone '
            f'{type(backbone).__name__} cannot be exported; an '
            'ImageClassifier on VPTMBackbone or FrozenFeatures can. Test-time '
            'augmentation calls a model several times: export the classifier '
            'inside it.'
        )
    if not classifier.with_head:
        raise TypeError(
            'the classifier has no head, so it has no scores; set model.head.'
        )
    preprocessor = classifier.data_preprocessor
    if type(preprocessor) is not ClsDataPreprocessor:
        raise TypeError(
            f'data_preprocessor {type(preprocessor).__name__} must be '
            'ClsDataPreprocessor: the file says by its mean and std how '
            'images are prepared.'
        )


def _require_mode(classifier: ImageClassifier) -> None:
    training = [
        name or type(classifier).__name__
        for name, module in classifier.named_modules()
        if module.training
    ]
    if training:
        raise RuntimeError(
            f'{len(training)} modules are in training mode, first '
            f'{training[0]!r}: dropout would be a part of the file. Call '
            'classifier.eval().'
        )
    # Not the state dict: there a frozen bfloat16 tensor is float32.
    for name, tensor in chain(
        classifier.named_parameters(), classifier.named_buffers()
    ):
        is_single = tensor.dtype == torch.float32
        if tensor.device.type != 'cpu' or (
            tensor.is_floating_point() and not is_single
        ):
            raise ValueError(
                f'{name} is {tensor.dtype} on {tensor.device}; export writes '
                'float32 models from the CPU: load it with --cfg-options '
                'model.backbone.dtype=float32, then call '
                'classifier.float().cpu().'
            )
