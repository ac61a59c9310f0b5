"""FGVC-Aircraft at 224 px: 100 variants, 3,334 train, 3,333 val, 3,333 test.

``FGVCAIRCRAFT_ROOT`` in the environment gives the folder,
``data/fgvc-aircraft-2013b`` by default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './official_val_224.py'

data_root = os.environ.get('FGVCAIRCRAFT_ROOT', 'data/fgvc-aircraft-2013b')
data_set = dict(type='FGVCAircraft', data_root=data_root)

train_dataloader = dict(dataset=data_set)
val_dataloader = test_dataloader = train_dataloader
