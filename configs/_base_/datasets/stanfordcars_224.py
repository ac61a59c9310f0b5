"""Stanford Cars at 224 px: 196 models, 8,144 train and 8,041 test.

``STANFORDCARS_ROOT`` in the environment gives the folder,
``data/Stanford_Cars`` by default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cut_val_224.py'

data_root = os.environ.get('STANFORDCARS_ROOT', 'data/Stanford_Cars')
train_set = dict(type='StanfordCars', data_root=data_root, split='train')
test_set = dict(type='StanfordCars', data_root=data_root, split='test')

train_dataloader = val_dataloader = dict(dataset=dict(dataset=train_set))
test_dataloader = dict(dataset=test_set)
