"""NABirds at 224 px: 555 birds, 23,929 train and 24,633 test images.

``NABIRDS_ROOT`` in the environment gives the folder, ``data/nabirds`` by
default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cut_val_224.py'

data_root = os.environ.get('NABIRDS_ROOT', 'data/nabirds')
train_set = dict(type='NABirds', data_root=data_root, split='train')
test_set = dict(type='NABirds', data_root=data_root, split='test')

train_dataloader = val_dataloader = dict(dataset=dict(dataset=train_set))
test_dataloader = dict(dataset=test_set)
