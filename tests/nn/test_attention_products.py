"""Attention in ``bfloat16`` against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from vptm_mm.nn import attend
from vptm_mm.nn.attention_products import HAS_KERNEL, ProductGradient


def draw(dtype, queries=5):
    torch.manual_seed(0)
    shapes = ((2, 3, queries, 4), (2, 3, 7, 4), (2, 3, 7, 4))
    states = [
        torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes
    ]
    return states, torch.randn(1, 3, queries, 7, dtype=dtype)


def test_gradient_by_finite_differences():
    states, mask = draw(torch.double)
    assert torch.autograd.gradcheck(
        lambda *states: ProductGradient.apply(*states, mask, 0.3), states
    )


def gradients(function, states, grad):
    function(*states).backward(grad.to(states[0]))
    return [state.grad.double() for state in states]


def test_bfloat16_is_near_double():
    states, mask = draw(torch.bfloat16)
    exact = [state.detach().double().requires_grad_() for state in states]
    grad = torch.randn(2, 3, 5, 4)
    ours = gradients(lambda *x: attend(*x, mask, 0.0, 0.3), states, grad)
    expected = gradients(
        lambda *x: F.scaled_dot_product_attention(
            *x, attn_mask=mask.double(), scale=0.3
        ),
        exact,
        grad,
    )
    for one, other in zip(ours, expected, strict=True):
        assert (one - other).norm() < 0.02 * other.norm()


@pytest.mark.parametrize(
    ('dtype', 'dropout', 'is_ours'),
    [
        (torch.bfloat16, 0.0, True),
        (torch.bfloat16, 0.1, False),
        (torch.float32, 0.0, False),
    ],
)
def test_who_takes_the_gradient(dtype, dropout, is_ours):
    states, mask = draw(dtype)
    name = type(attend(*states, mask, dropout, 0.3).grad_fn).__name__
    assert ('ProductGradient' in name) == (is_ours and HAS_KERNEL)
