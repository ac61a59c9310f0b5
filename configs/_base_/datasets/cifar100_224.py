"""CIFAR-100 at 224 px: 100 classes, 50,000 train and 10,000 test images.

``CIFAR100_ROOT`` in the environment gives the folder, ``data/cifar100`` by
default; what is missing there is downloaded.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cifar10_224.py'

data_root = os.environ.get('CIFAR100_ROOT', 'data/cifar100')
cifar100 = dict(type='BGRCIFAR100', data_root=data_root)

train_dataloader = dict(dataset=dict(dataset=cifar100))
val_dataloader = dict(dataset=dict(dataset=cifar100))
test_dataloader = dict(dataset=cifar100)
