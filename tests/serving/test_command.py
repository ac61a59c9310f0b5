"""What ``vptm serve`` says before it serves."""

import importlib
import socket
import sys

import pytest
import yaml

from vptm_mm import run_verb

from ..verbs.vptm import vptm

pytestmark = pytest.mark.needs('ray')


def test_nothing_to_serve():
    with pytest.raises(ValueError, match='nothing to serve: give --task FILE'):
        vptm('serve')


def test_a_port_that_is_taken(folder):
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(OSError, match=f'--port={port} .*choose others'):
            vptm('serve', '--tasks', folder, '--port', port)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ('--tasks gone', 'no folder of tasks at /.*gone; make it'),
        ('--task {cut}', 'cut.safetensors .* is not a readable checkpo'),
        ('--task .x={birds}', "the name '.x' must be of at most 100"),
        ('--task {birds} --weights gone.pth', 'no pre-trained weights at'),
        ('--tasks {store} --token-file {empty}', 'empty is empty; write a'),
        ('--tasks {store} --device cuda:77', '--device cuda:77 cannot be'),
        ('--task {birds} --write-config x.yaml', '--write-config needs --tas'),
    ],
)
def test_what_is_wrong(files, folder, tmp_path, words, message):
    (tmp_path / 'empty').write_text('\n')
    cut = tmp_path / 'cut.safetensors'
    cut.write_bytes(files['birds'].read_bytes()[:-1])
    words = words.format(
        birds=files['birds'], cut=cut, store=folder, empty=tmp_path / 'empty'
    )
    with pytest.raises((OSError, ValueError), match=message):
        vptm('serve', *words.split())


def test_a_missing_extra(monkeypatch, folder, capsys):
    deployment = 'vptm_mm.serving.deployment'
    monkeypatch.delitem(sys.modules, deployment, raising=False)
    monkeypatch.setitem(sys.modules, 'ray', None)
    words = ('serve', '--tasks', folder, '--write-config', 'x.yaml')
    assert run_verb.guarded(lambda: vptm(*words)) == 2
    text = capsys.readouterr().err
    assert text.endswith("; pip install 'vptm_mm[serve]'\n")
    assert text.count('\n') == 1


def test_a_config_for_a_cluster(files, folder, tmp_path, checkpoint, capsys):
    path = tmp_path / 'serve.yaml'
    vptm(
        'serve',
        *('--tasks', folder, '--task', f'cars={files["cars"]}'),
        *('--weights', checkpoint, '--max-batch', '16', '--host', '0.0.0.0'),
        *('--write-config', path),
    )
    assert f'serve deploy {path}' in capsys.readouterr().out
    assert (folder / 'cars.safetensors').is_file()
    config = yaml.safe_load(path.read_text())
    assert config['http_options'] == dict(host='0.0.0.0', port=8000)
    (application,) = config['applications']
    assert application['args'] == dict(
        tasks=str(folder), weights=str(checkpoint), max_batch=16
    )
    module, _, name = application['import_path'].partition(':')
    build = getattr(importlib.import_module(module), name)
    settings = build.__annotations__['args']
    assert settings(**application['args']).max_queue == 256
