"""What the yardstick of ``vptm adapt`` reads."""

import pytest
import torch

from vptm_mm.colours_and_edges import colours_and_edges


def stripes(height: int, width: int) -> torch.Tensor:
    """Red images: upright stripes, level ones, a diagonal each way."""
    rows, columns = torch.meshgrid(
        torch.arange(height), torch.arange(width), indexing='ij'
    )
    places = [columns, rows, rows + columns, rows - columns]
    images = torch.zeros(4, 3, height, width, dtype=torch.uint8)
    for image, place in zip(images, places, strict=True):
        image[2] = 200 * (place % 8 < 4)
    return images


@pytest.mark.parametrize('size', [(8, 8), (90, 60), (224, 224)])
def test_edges_tell_directions_apart(size):
    found = colours_and_edges(stripes(*size))
    edges = torch.nn.functional.normalize(found[:, 256:])
    assert found.shape == (4, 256 + 128)
    assert found.isfinite().all()
    alike = edges @ edges.T
    assert alike.fill_diagonal_(0).max() < 0.8


def test_a_negative_has_the_same_edges_and_other_colours():
    images = stripes(64, 64)
    colours, edges = colours_and_edges(images).split([256, 128], 1)
    other_colours, other_edges = colours_and_edges(200 - images).split(
        [256, 128], 1
    )
    torch.testing.assert_close(edges, other_edges, atol=1e-3, rtol=0)
    assert not (colours * other_colours).any()
    flat = colours_and_edges(torch.full((1, 3, 16, 16), 255.0))
    assert flat[:, 256:].count_nonzero() == 0
    assert flat[0, 252:256].tolist() == [1] * 4  # white, in each quarter
