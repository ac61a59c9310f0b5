"""Methods on one data set have the same epochs, batches, weights, images."""

from dataclasses import replace

import pytest

from vptm_mm.compare.pairs import make_pairs
from vptm_mm.compare.plan import Method

from .made_plan import (
    LINEAR,
    TWO_RATES,
    VPTM,
    make_plan,
)

EPOCHS = 'train_cfg.max_epochs'
BATCH = 'train_dataloader.batch_size'
WEIGHTS = 'model.backbone.init_cfg.checkpoint'
TEST = 'test_dataloader.dataset.indices'


def write_config(folder, text):
    path = folder / f'{len(list(folder.iterdir()))}.py'
    path.write_text(f'_base_ = {str(LINEAR)!r}\n{text}\n')
    return Method('other', path, TWO_RATES)


def make(*methods, **changes):
    ours = Method('VPTM', VPTM, TWO_RATES)
    plan = make_plan(methods=(ours, *methods), cfg_options={})
    return make_pairs(replace(plan, **changes))


@pytest.mark.parametrize(
    ('text', 'error'),
    [
        (
            'train_cfg = dict(max_epochs=9)\nparam_scheduler = []',
            rf"data set 'digits': methods differ in {EPOCHS}: 20 of 'VPTM'; "
            "9 of 'other'. Set it alike in cfg_options of the plan",
        ),
        ('train_dataloader = dict(batch_size=8)', f"{BATCH}: 64 of 'VPTM'; 8"),
        (
            "model = dict(backbone=dict(init_cfg=dict(checkpoint='http://a.b')))",
            f"{WEIGHTS}: .*digits.pth\" of 'VPTM'; \"http://a.b\" of 'other'",
        ),
        (
            'train_dataloader = dict(dataset=dict(indices=9))',
            r'differ in train_dataloader.dataset: .* of .*"indices": 9',
        ),
        (
            'test_dataloader = dict(dataset=dict(indices=9))',
            'methods differ in test_dataloader.dataset: .*give the data set a',
        ),
    ],
)
def test_unequal_terms_are_refused(tmp_path, text, error):
    with pytest.raises(ValueError, match=error):
        make(write_config(tmp_path, text))


def test_a_method_may_say_itself_that_it_differs(tmp_path):
    other = write_config(tmp_path, 'train_dataloader = dict(batch_size=8)')
    assert len(make(replace(other, cfg_options={BATCH: 8}))) == 2
    make(other, cfg_options={BATCH: 16})
    make(replace(other, cfg_options={BATCH: 64, WEIGHTS: 'http://a.b'}))
    # But what is tested is the same in any case.
    with pytest.raises(ValueError, match='differ in test_dataloader.dataset'):
        make(replace(other, cfg_options={BATCH: 8, TEST: 9}))


def test_how_images_are_read_may_differ(tmp_path):
    text = 'test_dataloader = dict(dataset=dict(pipeline=[]))'
    assert len(make(write_config(tmp_path, text))) == 2
    text = 'test_dataloader = dict(dataset=dict(lazy_init=True))'
    assert len(make(write_config(tmp_path, text))) == 2
    # A method that sets it may not bring other images along.
    other = write_config(
        tmp_path, 'train_dataloader = dict(dataset=dict(indices=9))'
    )
    own = {'train_dataloader.dataset.pipeline': []}
    with pytest.raises(ValueError, match='differ in train_dataloader.dataset'):
        make(replace(other, cfg_options=own))
