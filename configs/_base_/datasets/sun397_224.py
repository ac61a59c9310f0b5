"""SUN397 at 224 px: 397 scenes, 19,850 train and 19,850 test images.

The first of the ten official partitions.

``SUN397_ROOT`` in the environment gives the folder, ``data/SUN397`` by
default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cut_val_224.py'

data_root = os.environ.get('SUN397_ROOT', 'data/SUN397')
# Some images are not JPEG files, although they are named so.
load_image = dict(type='LoadCheckedImage', imdecode_backend='pillow')
train_pipeline = [load_image, *_base_.train_pipeline[1:]]
test_pipeline = [load_image, *_base_.test_pipeline[1:]]
train_set = dict(type='SUN397', data_root=data_root, split='train')

train_dataloader = dict(
    dataset=dict(dataset=dict(**train_set, pipeline=train_pipeline))
)
val_dataloader = dict(
    dataset=dict(dataset=dict(**train_set, pipeline=test_pipeline))
)
test_dataloader = dict(
    dataset=dict(
        type='SUN397',
        data_root=data_root,
        split='test',
        pipeline=test_pipeline,
    )
)
