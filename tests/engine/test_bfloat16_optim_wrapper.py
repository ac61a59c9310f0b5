"""Mixed precision on a CPU: products are rounded, what is tuned is not."""

import torch
from torch import nn

from vptm_mm.engine import BFloat16OptimWrapper


def test_products_are_rounded_and_parameters_are_not():
    model = nn.Linear(4, 2)
    start = model.weight.detach().clone()
    wrapper = BFloat16OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.5), accumulative_counts=2
    )
    wrapper.initialize_count_status(model, 0, 2)
    images = torch.full((3, 4), 1 / 3)
    for _ in range(2):
        with wrapper.optim_context(model):
            output = model(images)
            wrapper.update_params(output.float().sum())
    assert output.dtype == torch.bfloat16
    assert model(images).dtype == torch.float32
    assert model.weight.dtype == torch.float32
    # Two halves of the gradient: 1/3, three times, in three digits.
    moved = start - model.weight.detach()
    torch.testing.assert_close(
        moved, torch.full_like(moved, 0.5), rtol=0, atol=2e-3
    )
