"""What a run's checkpoint says of the test set, kept in the work dir."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

from ..datasets import check_data_roots
from ..progress import progress
from ..tasks import load_classifier
from ..visualization import class_names, file_name, open_split, predict
from ..weights import open_whole
from ..weights.download import file_sha256

FILENAME = 'test_predictions.npz'


@dataclass(frozen=True)
class Tested:
    """Predictions on a test set, in its order.

    Args:
        labels: True classes.
        predicted: Predicted classes.
        confidence: Scores of the predicted classes, 0-1.
        classes: Names of the classes.
        checkpoint: Name of the file that predicted.
        sha256: Digest of that file.
        images: Names of the files of the images; empty where there is none.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    classes: Sequence[str]
    checkpoint: str
    sha256: str
    images: Sequence[str]

    @property
    def right(self) -> np.ndarray:
        """Whether each image is predicted right."""
        return self.labels == self.predicted

    def worst(self, limit: int) -> list[int]:
        """Indices of the mistakes with the highest confidence."""
        wrong = np.flatnonzero(~self.right)
        order = np.argsort(-self.confidence[wrong], kind='stable')
        return wrong[order[:limit]].tolist()


def open_test_set(cfg: Config) -> Any:
    """Build the test set of a config.

    Raises:
        FileNotFoundError: If its files are not there.
        ValueError: If the config has none.
    """
    check_data_roots(cfg.get('test_dataloader'))
    return open_split(cfg, 'test')


def predict_test(cfg: Config, checkpoint: Path, device: str) -> Tested:
    """Run a checkpoint over the test set.

    Args:
        cfg: Config of the run.
        checkpoint: Checkpoint or task file.
        device: Where the model runs.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the checkpoint does not fit, or the test set has no
            true classes.
    """
    dataset = open_test_set(cfg)
    loader = dict(
        cfg.test_dataloader,
        dataset=dataset,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    model = load_classifier(cfg, checkpoint, device=device)
    said = predict(
        model,
        progress(Runner.build_dataloader(loader), 'Test images'),
    )
    if said.labels is None:
        raise ValueError(
            f'the {len(dataset)} test images have no true classes, so there '
            'are no mistakes to report.'
        )
    return Tested(
        labels=said.labels.numpy(),
        predicted=said.predicted.numpy(),
        confidence=said.confidence.numpy(),
        classes=class_names(model, dataset),
        checkpoint=checkpoint.name,
        sha256=file_sha256(checkpoint),
        images=[file_name(dataset, i) for i in range(len(dataset))],
    )


def write_tested(tested: Tested, path: Path) -> None:
    """Write predictions, so that the next report need not predict."""
    with open_whole(path) as file:
        np.savez(file, **vars(tested))


def read_tested(path: Path, checkpoint: Path | None) -> Tested | None:
    """Read predictions, if they are those of a checkpoint as it is now.

    Args:
        path: The file.
        checkpoint: The checkpoint; None for whatever predicted.

    Returns:
        None if the file is missing, damaged, or of another checkpoint.
    """
    try:
        with path.open('rb') as file, np.load(file) as arrays:
            # Names are lists of text, as they were.
            tested = Tested(
                **{
                    name: array.tolist() if array.dtype.kind == 'U' else array
                    for name, array in arrays.items()
                }
            )
    except (OSError, EOFError, ValueError, TypeError, BadZipFile):
        return None
    # By content: a copy of a work dir has other times.
    changed = (
        checkpoint is not None
        and checkpoint.is_file()
        and file_sha256(checkpoint) != tested.sha256
    )
    return None if changed else tested
