"""Images of your own at 224 px: a sub-folder for each class.

``ImageFolder`` says which layouts are read and what is cut. ``IMAGE_FOLDER``
in the environment gives the folder, ``data/images`` by default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './official_val_224.py'

data_root = os.environ.get('IMAGE_FOLDER', 'data/images')
data_set = dict(type='ImageFolder', data_root=data_root)

train_dataloader = dict(dataset=data_set)
val_dataloader = dict(dataset=data_set)
test_dataloader = dict(dataset=data_set)
# There may be fewer than five classes.
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator
