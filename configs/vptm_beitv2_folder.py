"""VPTM on a folder of your own: frozen BEiT v2 base, 224 px, shallow prompts.

    IMAGE_FOLDER=path/to/images \
        python tools/train.py configs/vptm_beitv2_folder.py

A sub-folder is a class; the head has as many as there are. Validation and test
images are cut from each class, unless there are folders ``train`` and ``test``
of class folders. To test a task on all images of a folder:

    python tools/test.py configs/vptm_beitv2_folder.py TASK --folder FOLDER

Result: not yet measured.
"""

_base_ = [
    './_base_/models/vptm_beitv2-base.py',
    './_base_/datasets/folder_224.py',
    './_base_/vptm_runtime.py',
    './_base_/schedules/vptm_100e.py',
]

# Two where there is no folder: the tools and the data set say what is wrong.
# No import statement: see CONTRIBUTING.md.
datasets = __import__('vptm_mm').datasets
num_classes = datasets.count_classes(_base_.data_root)

model = dict(head=dict(num_classes=num_classes))
data_preprocessor = dict(num_classes=num_classes)
