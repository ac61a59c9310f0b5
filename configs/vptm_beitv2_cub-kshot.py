"""VPTM on 16 images of each class of CUB-200-2011.

    python tools/train.py configs/vptm_beitv2_cub-kshot.py

With another number of shots or another seed, set
``train_dataloader.dataset.shots=4 train_dataloader.dataset.seed=1``. The
validation images are those of ``vptm_beitv2_cub.py``.

Result: not yet measured.
"""

_base_ = './vptm_beitv2_cub.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='KShot',
        shots=16,
        seed=0,
        dataset=_base_.train_dataloader.dataset,
    )
)
