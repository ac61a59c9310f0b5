"""Methods on one data set have the same epochs, batches, weights, images."""

from dataclasses import replace

import pytest
from mmengine.config import Config

from vptm_mm.compare.equal_terms import check_schedule
from vptm_mm.compare.pairs import make_pairs
from vptm_mm.compare.plan import DataSet, Method
from vptm_mm.compare.search import PRESETS

from .made_plan import (
    CONFIGS,
    LINEAR,
    TWO_RATES,
    VPTM,
    make_axis,
    make_plan,
)

EPOCHS = 'train_cfg.max_epochs'
END = 'param_scheduler.1.end'
BATCH = 'train_dataloader.batch_size'
WEIGHTS = 'model.backbone.init_cfg.checkpoint'
TEST = 'test_dataloader.dataset.indices'


def write_config(folder, text):
    path = folder / 'other.py'
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


def test_images_of_two_data_sets_have_no_table_in_common(tmp_path):
    """Both would be called digits."""
    text = 'test_dataloader = dict(dataset=dict(indices=9))'
    other = write_config(tmp_path, text)
    with pytest.raises(ValueError, match='differ in test_dataloader.dataset'):
        make(other)
    data = DataSet('digits', CONFIGS / '_base_' / 'datasets' / 'digits_32.py')
    assert len(make(other, datasets=(data,))) == 2


def schedule(epochs=5, lr=0.1, **last):
    return Config(
        dict(
            train_cfg=dict(max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(lr=lr)),
            param_scheduler=[dict(type='LinearLR', end=2), last],
        )
    )


COSINE = dict(type='CosineAnnealingLR', by_epoch=True)


def test_a_schedule_ends_with_training():
    check_schedule(schedule(**COSINE, end=5), True)
    for end in (4, 6):
        text = rf'ends with epoch {end} \(end in param_scheduler\), and traini'
        with pytest.raises(ValueError, match=text):
            check_schedule(schedule(**COSINE, end=end), False)
    # Nothing is trained, or the rate stays as it is after a warm-up.
    check_schedule(schedule(**COSINE, end=4, lr=0), False)
    with pytest.raises(ValueError, match='ends with epoch 4'):
        check_schedule(schedule(**COSINE, end=4, lr=0), True)
    check_schedule(schedule(type='LinearLR', end=2), False)
    check_schedule(schedule(type='CosineAnnealingLR', T_max=3), False)
    check_schedule(Config(dict(schedule(), param_scheduler=None)), False)
    check_schedule(schedule(type='mmengine.StepLR'), False)
    check_schedule(schedule(**dict(COSINE, by_epoch=False), end=99), False)
    # Whatever their order.
    whole = schedule(**COSINE, end=9)
    whole.param_scheduler.reverse()
    with pytest.raises(ValueError, match='ends with epoch 9'):
        check_schedule(whole, False)


def test_more_epochs_are_enough_unless_a_config_pins_the_schedule():
    (pair,) = make(cfg_options={EPOCHS: 9})
    assert pair.base.train_cfg.max_epochs == 9
    text = 'digits, VPTM: the schedule .* epoch 20 .* with epoch 9'
    with pytest.raises(ValueError, match=text):
        make(cfg_options={EPOCHS: 9, END: 20})
    axis = make_axis('epochs', EPOCHS, (9, 20))
    with pytest.raises(ValueError, match='with epoch 9'):
        make(cfg_options={END: 20}, axes=(axis,))
    untrained = {'optim_wrapper.optimizer.lr': 0, EPOCHS: 1, END: 20}
    make(Method('as it is', VPTM, PRESETS['fixed'], untrained))
