"""Class means and discriminants that several processes compute together."""

from types import SimpleNamespace

import torch
from torch import distributed, multiprocessing

from vptm_mm.engine.hooks import class_mean_prototypes
from vptm_mm.models import PrototypeVerbalizerHead

IMAGES, CLASSES, WIDTH = 31, 4, 6


class Model(torch.nn.Module):
    """Reads its states as they are."""

    def __init__(self):
        super().__init__()
        self.head = PrototypeVerbalizerHead(
            CLASSES, WIDTH, prototype_dim=9, prototype_init='discriminant'
        )


def set_prototypes(rank: int, processes: int, folder: str) -> None:
    """What a process does with its share; it leaves the head's state."""
    distributed.init_process_group(
        'gloo',
        init_method=f'file://{folder}/store{processes}',
        rank=rank,
        world_size=processes,
    )
    generator = torch.Generator().manual_seed(0)
    states = 1 + torch.randn(IMAGES, WIDTH, generator=generator)
    labels = torch.arange(IMAGES) % CLASSES
    share = slice(rank, None, processes)
    class_mean_prototypes._training_states = lambda runner: (
        list(states[share].split(3)),
        list(labels[share].split(3)),
    )
    torch.manual_seed(rank)
    model = Model()
    runner = SimpleNamespace(
        model=model, logger=SimpleNamespace(info=lambda text: None)
    )
    class_mean_prototypes.ClassMeanPrototypesHook().before_train(runner)
    torch.save(model.head.state_dict(), f'{folder}/{processes}_{rank}.pth')
    distributed.destroy_process_group()


def test_two_processes_find_what_one_finds(tmp_path):
    for processes in (1, 2):
        multiprocessing.spawn(
            set_prototypes, (processes, str(tmp_path)), nprocs=processes
        )
    one, first, second = (
        torch.load(tmp_path / f'{name}.pth') for name in ('1_0', '2_0', '2_1')
    )
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name

    def cosines(state):  # Of prototypes and axes: no rotation changes them.
        return (
            state['verbalizer.prototypes']
            @ state['verbalizer.projection.weight']
        )

    torch.testing.assert_close(cosines(first), cosines(one))
