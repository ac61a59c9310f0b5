"""Caltech-101 at 224 px: 102 classes, 3,060 train and 6,728 test images.

There is no official split; it is the one of MMPretrain's lists. The class of
background images counts.

``CALTECH101_ROOT`` in the environment gives the folder, ``data/caltech-101``
by default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cut_val_224.py'

data_root = os.environ.get('CALTECH101_ROOT', 'data/caltech-101')
train_set = dict(type='Caltech101', data_root=data_root, split='train')
test_set = dict(type='Caltech101', data_root=data_root, split='test')

train_dataloader = val_dataloader = dict(dataset=dict(dataset=train_set))
test_dataloader = dict(dataset=test_set)
