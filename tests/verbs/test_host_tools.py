"""MMPretrain's own tools, on a config of this package."""

from pathlib import Path

import mmpretrain

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
