"""VPTM on a task of VTAB-1k: frozen BEiT v2 base, 224 px, shallow prompts.

Each task has a config in ``configs/vtab``: so what was run is in its name,
which is that of the work dir too, and its own values have a place. A first
run trains on 800 images and chooses on 200 others. With what it chose, a
second run trains on all 1,000 and validates on none; its last checkpoint is
tested.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-kitti.py
    python tools/train.py configs/vtab/vptm_beitv2_vtab-kitti.py \
        --no-validate --work-dir work_dirs/vtab-kitti_1000 \
        --cfg-options train_dataloader.dataset.split=train800val200
    python tools/test.py configs/vtab/vptm_beitv2_vtab-kitti.py \
        work_dirs/vtab-kitti_1000/epoch_100.pth
"""

_base_ = [
    './models/vptm_beitv2-base.py',
    './datasets/vtab1k_224.py',
    './vptm_runtime.py',
    './schedules/vptm_100e.py',
]
