"""What the linear probe reads."""

from types import SimpleNamespace

from torch.utils.data import DataLoader

from vptm_mm.engine.hooks.linear_probe import _whole_loader


def test_reads_what_other_processes_would_read():
    def build_dataloader(cfg, seed):
        # As the samplers of the host for process 0 of 2.
        return DataLoader(cfg, sampler=[0, 2, 4, 6], batch_size=2)

    runner = SimpleNamespace(build_dataloader=build_dataloader, seed=0)
    loader = _whole_loader(runner, range(7))
    assert [n for batch in loader for n in batch.tolist()] == [*range(7)]
    assert loader.batch_size == 2
