"""The host's loaders of checkpoints are left alone."""

import torch
from mmengine.runner import CheckpointLoader, load_checkpoint
from safetensors.torch import save_file
from torch import nn

from vptm_mm.tasks import read_checkpoint


def test_only_our_addresses_have_our_loader():
    ours = {
        prefix
        for prefix, loader in CheckpointLoader._schemes.items()
        if loader.__module__.startswith('vptm_mm')
    }
    assert ours == {'vptm_mm://', r'(?!.*://).*\.safetensors$'}
    for address in (
        'torchvision://resnet50',
        'open-mmlab://resnet50',
        'mmcls://mobilenet_v2',
        's3://bucket/model.safetensors',
        'https://example.org/model.safetensors',
        'model.pth',
    ):
        loader = CheckpointLoader._get_checkpoint_loader(address)
        assert loader.__module__ == 'mmengine.runner.checkpoint', address


def test_a_foreign_model_beside_the_plugin(tmp_path):
    """A file of a zoo, in the format of before torch 1.6."""
    state = nn.Linear(2, 3).state_dict()
    path = tmp_path / 'zoo.pth'
    torch.save(state, path, _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / 'zoo.safetensors')
    for file in (path, tmp_path / 'zoo.safetensors'):
        model = nn.Linear(2, 3)
        load_checkpoint(model, str(file))
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, state[name]), name


def test_addresses_of_others_are_left_to_the_host(monkeypatch):
    monkeypatch.setitem(
        CheckpointLoader._schemes,
        'torchvision://',
        lambda name, _: {'a': name},
    )
    address = 'torchvision://resnet50'
    assert read_checkpoint(address) == {'a': address}
