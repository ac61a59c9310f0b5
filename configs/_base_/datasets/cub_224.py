"""CUB-200-2011 at 224 px: 200 bird species, 5,994 train and 5,794 test.

``CUB_ROOT`` in the environment gives the folder, ``data/CUB_200_2011`` by
default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cut_val_224.py'

data_root = os.environ.get('CUB_ROOT', 'data/CUB_200_2011')
train_set = dict(type='CUB', data_root=data_root, split='train')
test_set = dict(type='CUB', data_root=data_root, split='test', test_mode=True)

train_dataloader = val_dataloader = dict(dataset=dict(dataset=train_set))
test_dataloader = dict(dataset=test_set)
