"""The folders of ``folder_32_kshot.py``, enlarged to 64 px."""

_base_ = './folder_32_kshot.py'

train_pipeline = [
    dict(type='LoadCheckedImage'),
    dict(
        type='RandomResizedCrop',
        scale=64,
        crop_ratio_range=(0.7, 1.0),
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadCheckedImage'),
    dict(type='Resize', scale=(64, 64), interpolation='bicubic'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    dataset=dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
)
val_dataloader = dict(
    dataset=dict(dataset=dict(dataset=dict(pipeline=test_pipeline)))
)
test_dataloader = dict(dataset=dict(dataset=dict(pipeline=test_pipeline)))
