"""VPTM on scikit-learn's digits: a tiny BEiT v2 that comes with the package.

    python tools/train.py configs/vptm_beitv2-tiny_digits.py

Result: top-1 90.5 ± 1.3 % on the test set (2026-11-26, CPU, 5 seeds).

Epochs, rates and baselines: docs/results.md.
"""

_base_ = [
    './_base_/models/vptm_beitv2-tiny.py',
    './_base_/datasets/digits_32.py',
    './_base_/vptm_runtime.py',
    './_base_/schedules/vptm_20e.py',
]
