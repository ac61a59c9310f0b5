"""What a run's checkpoint says of the test set, and its worst mistakes."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from ..datasets import check_data_roots
from ..tasks import load_classifier
from ..visualization.images import file_name
from ..visualization.predictions import class_names, predict, split_batches

SIDE = 112  # pixels
QUALITY = 80


@dataclass(frozen=True)
class Mistake:
    """An image that is predicted wrong.

    Args:
        name: Of its file, or its number.
        true: True class.
        predicted: Predicted class.
        confidence: Score of the predicted class, 0-1.
        picture: The image as a data URI.
    """

    name: str
    true: str
    predicted: str
    confidence: float
    picture: str


@dataclass(frozen=True)
class Tested:
    """Predictions on a test set, in its order.

    Args:
        labels: True classes.
        predicted: Predicted classes.
        classes: Names of the classes.
        checkpoint: Name of the file that predicted.
        mistakes: The worst ones, the surest first.
    """

    labels: np.ndarray
    predicted: np.ndarray
    classes: Sequence[str]
    checkpoint: str
    mistakes: Sequence[Mistake] = ()

    @property
    def right(self) -> np.ndarray:
        """Whether each image is predicted right."""
        return self.labels == self.predicted


def predict_test(
    cfg: Config, checkpoint: Path, device: str, num_mistakes: int
) -> Tested:
    """Run a checkpoint over the test set.

    Args:
        cfg: Config of the run.
        checkpoint: Checkpoint or task file.
        device: Where the model runs.
        num_mistakes: How many mistakes are kept, at most.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the checkpoint does not fit, or the test set has no
            true classes.
    """
    check_data_roots(cfg.get('test_dataloader'))
    dataset, batches = split_batches(cfg, 'test')
    model = load_classifier(cfg, checkpoint, device=device)
    said = predict(model, batches)
    if said.labels is None:
        raise ValueError(
            f'the {len(dataset)} test images have no true classes, so there '
            'are no mistakes to report.'
        )
    labels, predicted = said.labels.numpy(), said.predicted.numpy()
    confidence = said.confidence.numpy()
    classes = class_names(model, dataset)
    wrong = np.flatnonzero(labels != predicted)
    order = np.argsort(-confidence[wrong], kind='stable')
    mistakes = [
        Mistake(
            name=file_name(dataset, i) or f'no. {i}',
            true=classes[labels[i]],
            predicted=classes[predicted[i]],
            confidence=confidence[i],
            picture=to_data_uri(dataset[i]['inputs']),
        )
        for i in wrong[order[:num_mistakes]].tolist()
    ]
    return Tested(labels, predicted, classes, checkpoint.name, mistakes)


def to_data_uri(inputs: Tensor) -> str:
    """Turn what a pipeline packs, BGR or grey, into a small JPEG.

    Args:
        inputs: An image before the model's preprocessor, ``(3, height,
            width)`` or with one channel, 0-255.
    """
    image = to_pil_image(inputs.clamp(0, 255).byte().flip(0))
    # Small images keep their hard pixels.
    small = max(image.size) < SIDE
    method = Image.Resampling.NEAREST if small else Image.Resampling.BICUBIC
    buffer = io.BytesIO()
    ImageOps.contain(image, (SIDE, SIDE), method).save(
        buffer, 'JPEG', quality=QUALITY
    )
    text = base64.b64encode(buffer.getvalue()).decode()
    return f'data:image/jpeg;base64,{text}'
