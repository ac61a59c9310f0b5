"""VPTM on a folder of your own: frozen BEiT v2 base, 224 px, shallow prompts.

    IMAGE_FOLDER=path/to/images \
        python tools/train.py configs/vptm_beitv2_folder.py

A sub-folder is a class; the head has as many as there are. Validation and test
images are cut from each class, unless there are folders ``train`` and ``test``
of class folders.

Result: not yet measured.
"""

_base_ = [
    './_base_/models/vptm_beitv2-base.py',
    './_base_/datasets/folder_224.py',
    './_base_/vptm_runtime.py',
    './_base_/schedules/vptm_100e.py',
]

# An import statement would make this a config of mmengine's other kind.
glob = __import__('glob')
folder = glob.escape(glob.os.path.expanduser(_base_.data_root))
classes = glob.glob(f'{folder}/train/*/') or glob.glob(f'{folder}/*/')
# Two even where there is no folder: the tools and the data set say what is
# wrong there.
num_classes = max(2, len(classes))

model = dict(head=dict(num_classes=num_classes))
# The hook compares both with the data set.
data_preprocessor = dict(num_classes=num_classes)
custom_hooks = [*_base_.custom_hooks, dict(type='ClassNumCheckHook')]
