"""Oxford Flowers at 224 px: 102 classes, 1,020 train, 1,020 val, 6,149 test.

``FLOWERS102_ROOT`` in the environment gives the folder, ``data/Flowers102`` by
default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './official_val_224.py'

data_root = os.environ.get('FLOWERS102_ROOT', 'data/Flowers102')
# The official files number the classes and do not name them.
classes = [str(number) for number in range(1, 103)]
data_set = dict(
    type='Flowers102', data_root=data_root, metainfo=dict(classes=classes)
)

train_dataloader = dict(dataset=data_set)
val_dataloader = test_dataloader = train_dataloader
