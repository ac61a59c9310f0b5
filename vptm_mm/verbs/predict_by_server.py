"""``vptm predict --server``: the images go to a server of ``vptm serve``."""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..serving.client import Client, read_token

IMAGES_AT_A_TIME = 256


def client_of(args: argparse.Namespace) -> Client:
    """Return a client of ``--server``."""
    token = read_token(args.token_file) if args.token_file else None
    return Client(args.server, token)


def predict_by_server(
    args: argparse.Namespace, images: Iterator[Path]
) -> Iterator[list[dict]]:
    """Yield the rows of each image, in their order."""
    client = client_of(args)
    while batch := list(itertools.islice(images, IMAGES_AT_A_TIME)):
        for path, found in client.predict_files(batch, args.task, args.topk):
            if isinstance(found, OSError):
                yield [dict(image=str(path), error=str(found))]
            else:
                yield [
                    dict(image=str(path), task=name, top=_top(predictions))
                    for name, predictions in found.items()
                ]


def _top(predictions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {'class': one['label'], 'confidence': one['score']}
        for one in predictions
    ]


def tasks_of_server(args: argparse.Namespace) -> dict[str, str]:
    """Return digests of the tasks that are asked."""
    client = client_of(args)
    return {
        name: client.describe(name)['model']['sha256'] for name in args.task
    }
