"""Which runs are the same: configs and weights count."""

import pytest

from vptm_mm.compare import digest
from vptm_mm.weights.download import file_sha256

from .made_plan import SMALL, VPT, Played, one_pair

CHECKPOINT = 'model.backbone.init_cfg.checkpoint'


def test_equal_settings_have_equal_keys_and_others_do_not():
    def keys(**changes):
        pair = one_pair(**changes)
        return {pair.search.key, pair.finals(Played())[0].key}

    assert keys() == keys()
    other = {**SMALL, 'train_dataloader.batch_size': 8}
    assert not keys() & keys(cfg_options=other)
    # What is not searched counts, what is searched does not.
    decay = {**SMALL, 'optim_wrapper.optimizer.weight_decay': 0.5}
    assert not keys() & keys(cfg_options=decay)
    rate = {**SMALL, 'optim_wrapper.optimizer.lr': 0.5}
    assert keys() == keys(cfg_options=rate)
    # A tuple in a config and a list in a plan are the same run.
    deep = {**SMALL, 'model.backbone.prompt_blocks': [0]}
    assert keys(config=VPT) == keys(config=VPT, cfg_options=deep)


@pytest.fixture
def digested(monkeypatch):
    """The files that were digested, whatever was before."""
    files = []

    def noted(path):
        files.append(path.name)
        return file_sha256(path)

    monkeypatch.setattr(digest, 'file_sha256', noted)
    digest._sha256_of.cache_clear()
    return files


def test_other_weights_in_a_file_are_another_run(tmp_path, digested):
    file = tmp_path / 'backbone.pth'
    options = {**SMALL, CHECKPOINT: str(file)}

    def keys():
        digest._sha256_of.cache_clear()
        pair = one_pair(cfg_options=options)
        series = [pair.search, *pair.finals(Played())]
        return [one.digest() for one in series]

    found = []
    for content in (b'first', b'second', b'first'):
        file.write_bytes(content)
        found.append(keys())
    assert found[2] == found[0]
    assert not set(found[0]) & set(found[1])
    # Once for all runs, not once a run.
    assert digested == ['backbone.pth'] * 3


def test_weights_that_are_not_there_end_the_start(tmp_path):
    file = tmp_path / 'gone.pth'
    text = 'digits, m: no pre-trained weights at .*gone.pth'
    for key in CHECKPOINT, 'load_from':
        with pytest.raises(FileNotFoundError, match=text):
            one_pair(cfg_options={**SMALL, key: str(file)})


@pytest.mark.parametrize('address', ['torchvision://resnet50', 's3://a/b'])
def test_weights_that_the_host_finds_are_its_own_business(address):
    one_pair(cfg_options={**SMALL, 'load_from': address})


def test_which_weights_are_digested(tmp_path, digested):
    def look_at(pair):
        assert pair.finals(Played())[0].key

    look_at(one_pair())
    assert digested == ['beitv2-tiny_digits.pth']
    remote = {**SMALL, CHECKPOINT: 'https://example.org/backbone.pth'}
    look_at(one_pair(cfg_options=remote))
    assert len(digested) == 1
    file = tmp_path / 'whole.pth'
    file.write_bytes(b'weights')
    loaded = {**SMALL, 'load_from': str(file)}
    look_at(one_pair(cfg_options=loaded))
    assert digested[1:] == ['whole.pth']
