"""VTAB-1k at 224 px: 800 train and 200 val images, all test images of a task.

VTAB's protocol: images are squeezed to a square, nothing is augmented. What
is to choose is chosen on ``val200``; then a second run trains on all 1,000
images: ``vptm_beitv2_vtab1k.py`` has the commands.

Who inherits names the ``task`` in the ``dataset`` of each loader.
``VTAB1K_ROOT`` in the environment gives the folder of all tasks,
``data/vtab-1k`` by default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './official_val_224.py'

data_root = os.environ.get('VTAB1K_ROOT', 'data/vtab-1k')
pipeline = [
    dict(type='LoadCheckedImage'),
    dict(type='Resize', scale=(224, 224), interpolation='bicubic'),
    dict(type='PackInputs'),
]
data_set = dict(type='VTAB1k', data_root=data_root, pipeline=pipeline)

train_dataloader = dict(dataset=dict(**data_set, split='train800'))
val_dataloader = dict(dataset=dict(**data_set, split='val200'))
test_dataloader = dict(dataset=data_set)
# Some tasks have fewer than five classes.
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator
