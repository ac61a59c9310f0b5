"""How much faster time grows than arithmetic."""

from vptm_mm.benchmark.growth import excess


def test_what_grows_faster_than_its_arithmetic():
    def rows(*times):
        return [
            dict(median_s=taken, flops=flops)
            for taken, flops in zip(times, (1, 2, 4), strict=True)
        ]

    assert excess(rows(1, 2, 4)) == 1
    assert excess(rows(3, 3, 4)) == 1  # slower for its size at the start
    assert excess(rows(1, 2, 12)) == 3
