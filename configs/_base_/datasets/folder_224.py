"""Images of your own at 224 px: a sub-folder for each class.

``ImageFolder`` says which layouts are read and what is cut. ``IMAGE_FOLDER``
in the environment gives the folder, ``data/images`` by default. Photos are
resized to a square, whole: docs/method.md has what a crop loses.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './official_val_224.py'

data_root = os.environ.get('IMAGE_FOLDER', 'data/images')
train_pipeline = [
    dict(type='LoadCheckedImage'),
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
    dict(type='LoadCheckedImage'),
    dict(type='Resize', scale=(224, 224), interpolation='bicubic'),
    dict(type='PackInputs'),
]
data_set = dict(type='ImageFolder', data_root=data_root)

train_dataloader = dict(dataset=dict(**data_set, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**data_set, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(**data_set, pipeline=test_pipeline))
# There may be fewer than five classes.
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator
