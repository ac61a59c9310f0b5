"""Training, testing and predicting the digits open no connection."""

import subprocess
import sys

from ..conftest import ROOT
from ..made_images import IMAGE
from .test_tools import DIGITS, SMALL

# A network that fails loudly; what stays on this machine is allowed.
SCRIPT = """
import runpy, socket, sys

def refuse(self, address, *args):
    if self.family != socket.AF_UNIX:
        raise SystemExit(f'a connection to {address}')
    return connect(self, address, *args)

connect = socket.socket.connect
socket.socket.connect = refuse
socket.socket.connect_ex = refuse
socket.getaddrinfo = lambda host, *args, **kw: sys.exit(f'a look-up of {host}')
tools, config, image, *options = sys.argv[1:]
task = 'run/vptm_beitv2-tiny_digits.task.safetensors'
for name, *args in (
    ('train.py', config, '--work-dir', 'run', *options),
    ('test.py', config, task, '--work-dir', 'tested', *options),
    ('predict.py', image, '--task', task),
):
    sys.argv = [name, *args]
    try:
        runpy.run_path(f'{tools}/{name}', run_name='__main__')
    except SystemExit as end:
        if end.code:
            raise
print('nothing was asked for')
try:
    socket.create_connection(('example.org', 80))
except SystemExit as error:
    print(error)
"""


def test_no_connection_is_opened(tmp_path):
    options = ('--cfg-options', *SMALL, 'train_cfg.max_epochs=1')
    image = tmp_path / 'image.png'
    IMAGE.save(image)
    command = [sys.executable, '-c', SCRIPT, ROOT / 'tools', DIGITS, image]
    result = subprocess.run(
        [*map(str, command), *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert 'nothing was asked for' in result.stdout
    # The test can fail.
    assert 'a look-up of example.org' in result.stdout
