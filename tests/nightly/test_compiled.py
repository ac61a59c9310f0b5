"""What torch's own compiler makes; CI only traces."""

import shutil

import pytest
import torch


@pytest.mark.skipif(shutil.which('g++') is None, reason='no C++ compiler')
def test_compiled_code_equals_the_plain_path(build, images):
    """Outputs and gradients of what torch's own compiler makes."""
    outputs, gradients = [], []
    for compiled in (False, True):
        backbone = build()
        backbone.compile(fullgraph=True, disable=not compiled)
        (out,) = backbone(images)
        weights = torch.linspace(-1, 1, out.numel()).view_as(out)
        (out * weights).sum().backward()
        outputs.append(out)
        gradients.append(backbone.tuning.prompt_tokens.prompts.grad)
    assert (outputs[1] - outputs[0]).abs().max() <= 1e-5
    assert (gradients[1] - gradients[0]).norm() <= 1e-4 * gradients[0].norm()


def test_bfloat16_compiles_in_one_graph(build, images):
    backbone = build(
        prompt_blocks=(1, 2), visual_token='logits', dtype='bfloat16'
    )
    compiled = torch.compile(backbone, backend='aot_eager', fullgraph=True)
    torch.testing.assert_close(compiled(images)[0], backbone(images)[0])
