import pytest
import torch

from vptm_mm.nn import LowRankUpdate


def test_starts_at_zero_and_is_the_scaled_product():
    update = LowRankUpdate(6, 4, rank=2, alpha=3.0)
    assert update().shape == (4, 6)
    assert not update().any()
    torch.nn.init.normal_(update.up)
    torch.testing.assert_close(update(), 1.5 * update.up @ update.down)
    assert torch.linalg.matrix_rank(update()) == 2


def test_initial_width_is_that_of_the_docstring():
    update = LowRankUpdate(400, 400, rank=100, alpha=1.0)
    assert update.down.std().item() == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(rank=0),
            r'rank=0 must be an int in 1\.\.4, the rank of a 4x6',
        ),
        (dict(rank=5), r'rank=5 must be an int in 1\.\.4'),
        (dict(alpha=0.0), r'alpha=0\.0 must be positive and finite; alpha='),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        LowRankUpdate(6, 4, **{'rank': 2, 'alpha': 1.0, **options})
