"""Ten random images of five classes, as a data loader gives them."""

import torch
from mmpretrain.structures import DataSample


def make_batches(batch_size: int = 4, labels: bool = True):
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (10, 3, 16, 16), generator=generator)
    samples = [DataSample() for _ in pixels]
    for number, sample in enumerate(samples):
        if labels:
            sample.set_gt_label(number % 5)
    return [
        dict(
            inputs=pixels[start : start + batch_size].to(torch.uint8),
            data_samples=samples[start : start + batch_size],
        )
        for start in range(0, 10, batch_size)
    ]
