"""States that two processes share."""

import shutil

import torch

from vptm_mm.weights import load_file

from ..conftest import ROOT
from ..launched import launch


def test_two_processes_read_what_one_wrote(tmp_path):
    """As a launcher starts them: the losses are those of one process."""
    place = repr(str(tmp_path / 'cache'))
    config = ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py'
    (tmp_path / 'cached.py').write_text(
        f"_base_ = '{config}'\n"
        'default_hooks = dict(prefix_cache=dict(\n'
        f"    type='PrefixCacheHook', views=2, folder={place}))\n"
    )
    losses = {}
    for launcher, batch_size in (('none', 32), ('pytorch', 16)):
        launch(
            'train.py',
            *('cached.py', '--work-dir', launcher, '--cfg-options'),
            'model.backbone.prompt_blocks=[4]',
            'train_dataloader.dataset.indices=64',
            f'train_dataloader.batch_size={batch_size}',
            'val_dataloader.dataset.indices=33',
            'test_dataloader.dataset.indices=33',
            'train_cfg.max_epochs=2',
            cwd=tmp_path,
            launcher=launcher,
        )
        saved = load_file(tmp_path / launcher / 'epoch_2.pth')
        scalars = saved['message_hub']['log_scalars']
        losses[launcher] = torch.as_tensor(scalars['train/loss'].data[0])
        if launcher == 'none':
            shutil.rmtree(tmp_path / 'cache')
    assert len(losses['none']) == 4
    torch.testing.assert_close(*losses.values(), atol=1e-5, rtol=1e-5)
    files = (tmp_path / 'cache').glob('*.safetensors')
    names = sorted(path.name.partition('_')[0] for path in files)
    assert names == ['train0', 'val0']
