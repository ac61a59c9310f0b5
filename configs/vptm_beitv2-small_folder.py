"""VPTM on a folder of your own, on a small backbone of your own, 224 px.

    IMAGE_FOLDER=path/to/images \
        python tools/train.py configs/vptm_beitv2-small_folder.py

The backbone is what ``tools/pretrain.py`` makes of
``pretrain/beitv2-small_folder.py`` in three rounds, in the same working
directory; ``VPTM_BEITV2_SMALL`` in the environment gives another file. Folders
as in ``vptm_beitv2_folder.py``.

Result: not yet measured.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './vptm_beitv2_folder.py'

model = dict(
    backbone=dict(
        encoder=dict(
            arch=dict(
                _delete_=True,
                embed_dims=384,
                num_layers=12,
                num_heads=6,
                feedforward_channels=1536,
            ),
        ),
        init_cfg=dict(
            checkpoint=os.environ.get(
                'VPTM_BEITV2_SMALL',
                'work_dirs/beitv2-small_folder_rounds/3_features/beitv2-small_folder.pth',
            )
        ),
    ),
    head=dict(in_channels=384),
)
