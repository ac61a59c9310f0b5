"""MMPretrain's own tools, on a config of this package."""

from pathlib import Path

import mmpretrain
import pytest

from .. import launched
from ..conftest import ROOT

TOOLS = Path(mmpretrain.__file__).parent / '.mim' / 'tools'
CONFIG = ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py'


def run(tool, *args, cwd):
    tool = TOOLS / tool
    return launched.run(tool, CONFIG, *args, cwd=cwd, MPLBACKEND='agg').stdout


def test_vis_scheduler(tmp_path):
    """A list in place of a data loader, a model without head or backbone."""
    file = tmp_path / 'rates.png'
    flags = '--not-show', '--save-path', file, '-d', 1077
    # Two epochs, which is as long as the warm-up.
    options = '--cfg-options', 'train_cfg.max_epochs=2'
    run('visualization/vis_scheduler.py', *flags, *options, cwd=tmp_path)
    assert file.is_file()


def test_get_flops(tmp_path):
    output = run('analysis_tools/get_flops.py', '--shape', 32, cwd=tmp_path)
    assert 'Params: 1.235M' in output


@pytest.mark.slow
def test_browse_dataset(tmp_path):
    """Its other modes fail with newer versions of matplotlib."""
    flags = '--not-show', '-m', 'original', '-n', 2, '-o', tmp_path / 'images'
    run('visualization/browse_dataset.py', *flags, cwd=tmp_path)
    assert len(list((tmp_path / 'images').iterdir())) == 2


@pytest.mark.slow
def test_folds_and_their_confusion_matrix(tmp_path):
    run(
        'kfold-cross-valid.py',
        *('--num-splits', 2, '--work-dir', 'folds', '--cfg-options'),
        'train_cfg.max_epochs=1',
        'train_dataloader.dataset.indices=64',
        'train_dataloader.batch_size=16',
        cwd=tmp_path,
    )
    checkpoint = tmp_path / 'folds' / 'fold1' / 'epoch_1.pth'
    flags = checkpoint, '--show-path', 'matrix.png'
    run('analysis_tools/confusion_matrix.py', *flags, cwd=tmp_path)
    assert (tmp_path / 'matrix.png').is_file()
