"""Stanford Dogs at 224 px: 120 breeds, 12,000 train and 8,580 test.

``STANFORDDOGS_ROOT`` in the environment gives the folder,
``data/Stanford_Dogs`` by default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cut_val_224.py'

data_root = os.environ.get('STANFORDDOGS_ROOT', 'data/Stanford_Dogs')
train_set = dict(type='StanfordDogs', data_root=data_root, split='train')
test_set = dict(type='StanfordDogs', data_root=data_root, split='test')

train_dataloader = val_dataloader = dict(dataset=dict(dataset=train_set))
test_dataloader = dict(dataset=test_set)
