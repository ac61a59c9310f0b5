"""Pre-train a tiny BEiT v2 on scikit-learn's digits, without labels.

    python tools/train.py configs/pretrain/beitv2-tiny_digits.py

Measured on 2026-11-23, one CPU core, seed 0: 23 minutes; masked visual tokens
on held-out images 42.0 % correct, the best constant answer 6.4 %.
"""

_base_ = [
    '../_base_/models/beitv2-tiny_pretrain.py',
    '../_base_/schedules/beitv2_pretrain.py',
    '../_base_/default_runtime.py',
]

two_views = dict(
    type='RandomResizedCropAndInterpolationWithTwoPic',
    size=32,
    second_size=32,
    interpolation='bicubic',
    second_interpolation='bicubic',
)
train_pipeline = [
    dict(**two_views, scale=(0.6, 1.0)),
    dict(
        type='BlockMaskGenerator',
        input_size=(4, 4),
        num_masking_patches=6,
        min_num_patches=1,
    ),
    dict(type='PackInputs'),
]
# The whole image twice, nothing masked.
whole_pipeline = [
    dict(**two_views, scale=(1.0, 1.0), ratio=(1.0, 1.0)),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='SklearnDigits', split='train', pipeline=train_pipeline),
)
train_cfg = dict(type='ResumableTrainLoop', max_epochs=250)
in_order = dict(
    batch_size=128,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
labelled = dict(
    **in_order,
    dataset=dict(type='SklearnDigits', split='train', pipeline=whole_pipeline),
)
held_out = dict(
    **in_order,
    dataset=dict(type='SklearnDigits', split='val', pipeline=whole_pipeline),
)
default_hooks = dict(
    checkpoint=dict(interval=50),
    fit_tokenizer=dict(type='FitTokenizerHook'),
    report=dict(
        type='PretrainingReportHook',
        masked_tokens=dict(
            **in_order,
            dataset=dict(
                type='SklearnDigits', split='val', pipeline=train_pipeline
            ),
        ),
        visual_tokens=held_out,
        linear_probes=dict(
            linear_probe=dict(
                train_dataloader=labelled, test_dataloader=held_out
            )
        ),
    ),
    export=dict(
        type='ExportWeightsHook',
        filename='beitv2-tiny_digits.pth',
        dtype='float16',
    ),
)
