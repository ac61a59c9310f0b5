"""Which runs are the same: configs and weights count."""

import pytest

from vptm_mm.compare import digest

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


def test_other_weights_in_a_file_are_another_run(tmp_path):
    file = tmp_path / 'backbone.pth'

    def keys(key):
        digest.weights_sha256.cache_clear()
        pair = one_pair(cfg_options={**SMALL, key: str(file)})
        return [pair.search.key, pair.finals(Played())[0].key]

    for key in CHECKPOINT, 'load_from':
        found = []
        for content in (b'first', b'second', b'first'):
            file.write_bytes(content)
            found.append(keys(key))
        assert found[2] == found[0]
        assert not set(found[0]) & set(found[1])


def test_weights_that_are_not_there_end_the_start(tmp_path):
    file = tmp_path / 'gone.pth'
    text = 'digits, m: no pre-trained weights at .*gone.pth'
    with pytest.raises(FileNotFoundError, match=text):
        one_pair(cfg_options={**SMALL, CHECKPOINT: str(file)})


@pytest.mark.parametrize(
    'address', ['torchvision://resnet50', 's3://a/b', 'https://a.b/c.pth']
)
def test_weights_that_the_host_finds_are_its_own_business(address):
    one_pair(cfg_options={**SMALL, 'load_from': address})
