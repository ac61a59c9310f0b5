"""ImageNet-1k at 224 px: 1,000 classes, 1,281,167 train and 50,000 val images.

The official test set has no public labels. So the official val split is the
test set here, and a hundredth of the training images is for validation.

``IMAGENET_ROOT`` in the environment gives the folder, ``data/imagenet`` by
default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cut_val_224.py'

data_root = os.environ.get('IMAGENET_ROOT', 'data/imagenet')
train_set = dict(type='ImageNet', data_root=data_root, split='train')
test_set = dict(
    type='ImageNet', data_root=data_root, split='val', test_mode=True
)

train_dataloader = dict(dataset=dict(val_fraction=0.01, dataset=train_set))
val_dataloader = dict(dataset=dict(val_fraction=0.01, dataset=train_set))
test_dataloader = dict(dataset=test_set)
