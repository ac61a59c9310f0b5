"""Compute the visual tokens that a teacher gives images, once, and keep them.

Symbols: M images; W views, 1 or 2; N patches, H x H of them; E width of a
feature.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS, MODELS
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from ..datasets.subsets import hash_rank, list_digest, rank_classes
from ..weights import open_whole, write_whole

# Images whose features lie in one file.
CHUNK = 2000
MAX_PATCHES = 1_000_000  # that k-means sees at most
# Option of a tokenizer that does not change the features.
SIZE = 'num_visual_tokens'


def keep_tokens(
    file: str | Path,
    dataset: dict[str, Any],
    tokenizer: dict[str, Any],
    data_preprocessor: dict[str, Any],
    batch_size: int = 64,
    mirrored: bool = True,
    seed: int = 0,
    amp: bool = False,
    num_workers: int = 0,
    image_teacher: dict[str, Any] | None = None,
    image_dims: int = 256,
) -> None:
    """Write the tokens of all images, and of all mirrored.

    Features are kept in ``FILE.features``, in half precision: what is there
    is not computed again, so the command can be stopped and repeated, or
    repeated with another ``num_visual_tokens``. The images are in the order
    of a hash, so the first ones are a random sample.

    Args:
        file: Where the tokens go, a ``.npz`` with ``tokens``, ``(M, W, H,
            H)``, ``images``, the names below the data set's folder, the
            ``codebook`` and ``settings``; of an ``image_teacher``
            ``image_features``, ``(M, image_dims)``.
        dataset: Config of the images, whose pipeline gives them as the
            teacher wants them.
        tokenizer: Config of a ``FeatureKMeansTokenizer`` or
            ``PatchKMeansTokenizer``.
        data_preprocessor: Config; the teacher's mean and deviation.
        batch_size: Images that the teacher sees at once.
        mirrored: Whether to compute tokens of the mirrored images, too.
        seed: Of the order of the images.
        amp: Whether the teacher computes in bfloat16.
        num_workers: Processes that load images.
        image_teacher: Config of a ``FeatureTeacher`` with ``grid_size=1``,
            which gives a vector of a whole image, for ``DistilledBEiT``.
            Mirrored images have the same. Kept in ``FILE.image_features``.
        image_dims: First principal components of the vectors that are kept,
            each with variance 1.

    Raises:
        ValueError: If the features in the folder are of other images or
            settings.
    """
    file = Path(file)
    images = DATASETS.build(dataset)
    names, order = _in_order(images, seed)
    preprocess = MODELS.build(data_preprocessor)
    settings = dict(
        images=len(names),
        list_sha256=list_digest(names),
        pipeline=dataset.get('pipeline'),
        data_preprocessor=data_preprocessor,
        seed=seed,
        amp=amp,
    )

    def look(
        ending: str, cfg: dict[str, Any], mirrored: bool
    ) -> tuple[Any, list[Path]]:
        """A model, and the files of what it says of all images."""
        described = {k: v for k, v in cfg.items() if k != SIZE}
        claim = dict(**settings, mirrored=mirrored, model=described)
        folder = file.with_name(f'{file.name}.{ending}')
        _claim(folder, json.dumps(claim, indent=2, default=str))
        model = MODELS.build(cfg).eval()
        model = model.to(memory_format=torch.channels_last)
        paths = []
        for start in range(0, len(order), CHUNK):
            paths.append(folder / f'{start // CHUNK:05d}.npy')
            if paths[-1].exists():
                continue
            rows = order[start : start + CHUNK]
            loader = DataLoader(
                Subset(images, rows),
                batch_size,
                num_workers=num_workers,
                collate_fn=list,
            )
            features = _describe(loader, model, preprocess, mirrored, amp)
            with open_whole(paths[-1]) as part:
                np.save(part, features)
            MMLogger.get_current_instance().info(
                f'{folder.name} of {start + len(rows)} of {len(order)} images.'
            )
        return model, paths

    model, paths = look('features', tokenizer, mirrored)
    kept: dict[str, Any] = dict(tokens=fit_and_assign(model, paths))
    if image_teacher is not None:
        _, paths = look('image_features', image_teacher, False)
        vectors = torch.cat([_read(path).flatten(1) for path in paths])
        kept['image_features'] = principal_components(vectors, image_dims)
    settings.update(
        mirrored=mirrored, tokenizer=tokenizer, image_teacher=image_teacher
    )
    with open_whole(file) as part:
        np.savez_compressed(
            part,
            **kept,
            images=np.array(names),
            codebook=model.codebook.numpy(),
            settings=np.array(json.dumps(settings, default=str)),
        )


def fit_and_assign(model: Any, paths: list[Path]) -> np.ndarray:
    """Group features; return the tokens of all, ``(M, W, H, H)``.

    Args:
        model: The tokenizer.
        paths: Files of features, ``(m, W, N, E)`` each.
    """

    def stream() -> Iterator[Tensor]:
        left = MAX_PATCHES
        for path in paths:
            flat = _read(path).flatten(0, 2)[:left]
            left -= len(flat)
            yield from flat.split(4096)
            if left <= 0:
                return

    used = model.fit(stream())
    MMLogger.get_current_instance().info(
        f'{used} of {model.num_visual_tokens} visual tokens in use.'
    )
    parts = []
    for path in paths:
        features = _read(path)  # (m, W, N, E)
        side = round(features.shape[2] ** 0.5)
        ids = torch.cat([model.assign(part) for part in features.split(64)])
        parts.append(ids.unflatten(-1, (side, side)).numpy())
    smallest = np.min_scalar_type(model.num_visual_tokens - 1)
    return np.concatenate(parts).astype(smallest)


def principal_components(vectors: Tensor, dims: int) -> np.ndarray:
    """The first components, each with mean 0 and variance 1.

    Where a few directions hold most of the variance, as in what a network
    says of images, a cosine hears of the others in this way.

    Args:
        vectors: Of all images, ``(M, E)``.
        dims: Number of components, at most the smaller of M and E.

    Returns:
        ``(M, dims)`` in half precision.
    """
    # Not at the top: it would take a third of the time of a start.
    from sklearn.decomposition import PCA

    pca = PCA(dims, whiten=True, random_state=0)
    return pca.fit_transform(vectors.numpy()).astype(np.float16)


def _in_order(dataset: BaseDataset, seed: int) -> tuple[list[str], list[int]]:
    """Names and indices of the images, in hash order."""
    rows = {
        name: indices[0]
        for images in rank_classes(dataset, seed).values()
        for name, indices in images.items()
    }
    names = sorted(rows, key=lambda name: hash_rank(name, seed))
    return names, [rows[name] for name in names]


def _claim(folder: Path, settings: str) -> None:
    """Note whose features a folder holds; refuse that of others."""
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / 'settings.json'
    if not note.exists():
        write_whole(note, settings)
    if note.read_text() != settings:
        raise ValueError(
            f'{folder} holds features of other images or settings than these; '
            f'compare {note.name}, remove the folder, or name another file.'
        )


@torch.inference_mode()
def _describe(
    loader: DataLoader,
    model: Any,
    preprocess: Any,
    mirrored: bool,
    amp: bool,
) -> np.ndarray:
    """Features of the images of a loader, ``(m, W, N, E)``."""
    parts = []
    for batch in loader:
        inputs = torch.stack([packed['inputs'] for packed in batch])
        inputs = preprocess({'inputs': inputs})['inputs']
        views = [inputs, inputs.flip(-1)] if mirrored else [inputs]
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=amp):
            described = [
                model.describe(
                    view.contiguous(memory_format=torch.channels_last)
                )
                for view in views
            ]
        parts.append(torch.stack(described, 1).half())
    return torch.cat(parts).numpy()


def _read(path: Path) -> Tensor:
    return torch.from_numpy(np.load(path)).float()
