"""CIFAR-10 at 224 px: 10 classes, 50,000 train and 10,000 test images.

``CIFAR10_ROOT`` in the environment gives the folder, ``data/cifar10`` by
default; what is missing there is downloaded.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cut_val_224.py'

data_root = os.environ.get('CIFAR10_ROOT', 'data/cifar10')
train_pipeline = [
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.7, 1.0),
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='Resize', scale=(224, 224), interpolation='bicubic'),
    dict(type='PackInputs'),
]
train_set = dict(type='BGRCIFAR10', data_root=data_root, split='train')

train_dataloader = dict(
    dataset=dict(dataset=dict(**train_set, pipeline=train_pipeline))
)
val_dataloader = dict(
    dataset=dict(dataset=dict(**train_set, pipeline=test_pipeline))
)
test_dataloader = dict(
    dataset=dict(
        type='BGRCIFAR10',
        data_root=data_root,
        split='test',
        test_mode=True,
        pipeline=test_pipeline,
    )
)
