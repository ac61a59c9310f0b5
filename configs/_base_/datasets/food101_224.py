"""Food-101 at 224 px: 101 dishes, 75,750 train and 25,250 test images.

``FOOD101_ROOT`` in the environment gives the folder, ``data/food-101`` by
default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cut_val_224.py'

data_root = os.environ.get('FOOD101_ROOT', 'data/food-101')
train_set = dict(type='Food101', data_root=data_root, split='train')
test_set = dict(type='Food101', data_root=data_root, split='test')

train_dataloader = val_dataloader = dict(dataset=dict(dataset=train_set))
test_dataloader = dict(dataset=test_set)
