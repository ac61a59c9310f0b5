"""Oxford-IIIT Pets at 224 px: 37 breeds, 3,680 train and 3,669 test.

``OXFORDIIITPET_ROOT`` in the environment gives the folder,
``data/Oxford-IIIT_Pets`` by default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cut_val_224.py'

data_root = os.environ.get('OXFORDIIITPET_ROOT', 'data/Oxford-IIIT_Pets')
train_set = dict(type='OxfordIIITPet', data_root=data_root, split='trainval')
test_set = dict(type='OxfordIIITPet', data_root=data_root, split='test')

train_dataloader = val_dataloader = dict(dataset=dict(dataset=train_set))
test_dataloader = dict(dataset=test_set)
