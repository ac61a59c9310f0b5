import pytest
import torch

from vptm_mm.nn import BottleneckAdapter


def test_starts_at_zero_and_is_the_papers_formula():
    adapter = BottleneckAdapter(6, 4, scale=0.1)
    tokens = torch.randn(2, 5, 6)
    assert not adapter(tokens).any()
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter)
    down = tokens @ adapter.down.weight.T + adapter.down.bias
    up = down.clamp(min=0) @ adapter.up.weight.T + adapter.up.bias
    torch.testing.assert_close(adapter(tokens), 0.1 * up)


def test_initial_width_is_kaimings():
    adapter = BottleneckAdapter(200, 300, scale=0.1)
    expected = (2 / 200) ** 0.5
    assert adapter.down.weight.std().item() == pytest.approx(
        expected, rel=0.05
    )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(bottleneck_dims=0),
            'bottleneck_dims=0 must be an int >= 1; the paper',
        ),
        (dict(scale=0.0), r'scale=0\.0 must be positive and finite; the p'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        BottleneckAdapter(6, **{'bottleneck_dims': 4, 'scale': 0.1, **options})
