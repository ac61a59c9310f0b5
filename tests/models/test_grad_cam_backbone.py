"""Grad-CAM by MMPretrain's own script reads our patches."""

import argparse
import ast
import math
import subprocess
import sys
from pathlib import Path

import mmpretrain
import numpy as np
import pytest
import torch
from mmengine.utils import to_2tuple
from mmpretrain import get_model
from PIL import Image

from vptm_mm.models import GradCAMBackbone

from ..made_tasks import make_classifier, make_config

SCRIPT = (
    Path(mmpretrain.__file__).parent / '.mim/tools/visualization/vis_cam.py'
)
PROMPTS = [
    dict(prompt_length=0),
    dict(prompt_length=3, prompt_location='after_cls'),
    dict(
        prompt_length=3,
        prompt_blocks=(2,),
        speedups=('fused_attention', 'lean_first_block'),
    ),
    dict(prompt_length=3, with_cp=True),
    dict(prompt_length=3, prompt_blocks=(0, 1, 2)),
]


@pytest.fixture(scope='module')
def hosts():
    """Functions of the host's script, which cannot be imported without
    grad-cam."""
    if not SCRIPT.is_file():
        pytest.skip(f'no {SCRIPT}')
    tree = ast.parse(SCRIPT.read_text())
    names = ('reshape_transform', 'get_layer')
    tree.body = [n for n in tree.body if getattr(n, 'name', '') in names]
    scope = dict(math=math, to_2tuple=to_2tuple)
    exec(compile(tree, str(SCRIPT), 'exec'), scope)  # noqa: S102
    return scope


def models(checkpoint, **options):
    plain = make_classifier(checkpoint, **options)
    config = make_config(checkpoint, **options)
    config.model.backbone.type = 'GradCAMBackbone'
    shown = get_model(config)
    shown.load_state_dict(plain.state_dict())
    return plain, shown


@pytest.mark.parametrize('options', PROMPTS)
def test_results_and_state_are_those_of_the_plain_backbone(
    checkpoint, images, options
):
    plain, shown = models(checkpoint, **options)
    assert isinstance(shown.backbone, GradCAMBackbone)
    assert plain.state_dict().keys() == shown.state_dict().keys()
    torch.testing.assert_close(shown(images), plain(images), rtol=0, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(shown(images), plain(images))


@pytest.mark.parametrize('options', PROMPTS)
def test_the_hosts_reshape_and_gradient(checkpoint, images, hosts, options):
    _, shown = models(checkpoint, **options)
    args = argparse.Namespace(vit_like=False, num_extra_tokens=None)
    layer = hosts['get_layer']('backbone.patch_map', shown)
    norm_in = []
    norm = shown.backbone.encoder.layers[-1].ln1
    norm.register_forward_pre_hook(lambda m, a: norm_in.append(a[0]))
    seen = []

    def save(module, args_, output):  # as grad-cam does it
        assert output.requires_grad
        seen.append(output)
        output.register_hook(seen.append)

    layer.register_forward_hook(save)
    scores = shown(images)
    scores[:, 0].sum().backward()
    activation, gradient = (
        hosts['reshape_transform'](x, shown, args).detach() for x in seen
    )  # of one pass
    assert activation.shape == gradient.shape == (2, 16, 4, 4)
    assert gradient.abs().sum((1, 2, 3)).gt(0).all()
    # Each pixel of the map is the patch at its place.
    where = shown.backbone.sequence.patches
    normed = torch.nn.functional.layer_norm(
        norm_in[0], (16,), norm.weight, norm.bias, norm.eps
    )[:, where]
    torch.testing.assert_close(
        activation.flatten(2).transpose(1, 2), normed.detach()
    )


@pytest.mark.needs('pytorch_grad_cam', 'pkg_resources')
def test_the_hosts_script(checkpoint, tmp_path):
    """Needs grad-cam < 1.5, and the pkg_resources of setuptools < 81."""
    model = make_classifier(checkpoint)
    config = make_config(checkpoint)
    config.custom_imports = dict(imports=['vptm_mm'])
    config.dump(tmp_path / 'config.py')
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'image.png')
    options = (
        *('--target-layers', 'backbone.patch_map', '--save-path', 'cam.png'),
        *('--cfg-options', 'model.backbone.type=GradCAMBackbone'),
    )
    files = ('image.png', 'config.py', 'model.pth')
    result = subprocess.run(
        [sys.executable, str(SCRIPT), *files, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    cam = np.asarray(Image.open(tmp_path / 'cam.png')).astype(float)
    assert cam.shape == (16, 16, 3)
    assert np.abs(cam - pixels).mean() > 1
