"""What a file says about itself: classes, normalisation, origin."""

from collections.abc import Sequence
from typing import Any

from mmpretrain.models import ImageClassifier
from torch import Tensor

from ..version import __version__

FORMAT = 'vptm_mm.classifier'


def describe(
    classifier: ImageClassifier,
    preprocessing: bool,
    classes: Sequence[str] | None,
    pipeline: Sequence[dict],
) -> dict[str, Any]:
    """Describe a classifier in words that JSON has.

    Args:
        classifier: The classifier.
        preprocessing: Whether the file holds the data preprocessor.
        classes: Names of the classes, in the order of the scores; None to
            number them.
        pipeline: Transforms of a test image, as in an MMPretrain config.

    Raises:
        ValueError: If the number of names is not that of the head.
    """
    num_classes = classifier.head.num_classes
    if classes is None:
        classes = [str(i) for i in range(num_classes)]
    if len(classes) != num_classes:
        raise ValueError(
            f'{len(classes)} class names do not fit the head: num_classes='
            f'{num_classes}. Give one for each, or None to number them.'
        )
    encoder = classifier.backbone.encoder
    preprocessor = classifier.data_preprocessor
    is_rgb = preprocessor.to_rgb and not preprocessing
    return dict(
        format=FORMAT,
        version=__version__,
        frozen_sha256=classifier.backbone.frozen_sha256,
        classes=list(classes),
        image_size=list(encoder.img_size),
        channel_order='RGB' if is_rgb else 'BGR',
        preprocessing=preprocessing,
        mean=_numbers(getattr(preprocessor, 'mean', None)),
        std=_numbers(getattr(preprocessor, 'std', None)),
        pipeline=list(pipeline),
    )


def _numbers(tensor: Tensor | None) -> list[float] | None:
    """Write float32 numbers with the digits that they have."""
    if tensor is None:
        return None
    return [float(f'{number:.7g}') for number in tensor.flatten().tolist()]
