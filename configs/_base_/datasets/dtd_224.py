"""DTD at 224 px: 47 textures, 1,880 train, 1,880 val, 1,880 test images.

The first of the ten official partitions.

``DTD_ROOT`` in the environment gives the folder, ``data/dtd`` by default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './official_val_224.py'

data_root = os.environ.get('DTD_ROOT', 'data/dtd')
data_set = dict(type='DTD', data_root=data_root)

train_dataloader = dict(dataset=data_set)
val_dataloader = test_dataloader = train_dataloader
