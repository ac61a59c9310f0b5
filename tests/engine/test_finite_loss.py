"""A loss or a step that is not finite ends the run, on all processes."""

import copy
import multiprocessing
import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel

from vptm_mm.engine import FiniteLossHook
from vptm_mm.nn import trainable_parameters

from .made_digits import digits_runner

NAN = torch.tensor(torch.nan)


def spoil_loss(
    runner, call: int, loss: torch.Tensor, name: str = 'loss'
) -> None:
    """Let the head return another loss, or one more, from one call on."""
    head, calls = runner.model.head, []
    true_loss = head.loss

    def spoiled(*args, **kwargs):
        calls.append(copy.deepcopy(trainable_parameters(runner.model)))
        losses = true_loss(*args, **kwargs)
        return {**losses, name: loss} if len(calls) == call else losses

    head.loss = spoiled
    runner.tuned_before = calls


def assert_unchanged(runner) -> None:
    for name, before in runner.tuned_before[-1].items():
        after = trainable_parameters(runner.model)[name]
        assert torch.equal(after, before), name


def test_no_step_is_taken_with_such_a_loss(tmp_path):
    runner = digits_runner(
        tmp_path,
        **{'train_cfg.max_epochs': 2, 'optim_wrapper.optimizer.lr': 0.25},
    )
    runner.param_schedulers = []
    spoil_loss(runner, 4, -torch.tensor(torch.inf))
    with pytest.raises(RuntimeError, match='the loss is not finite') as error:
        runner.train()
    text = str(error.value)
    assert text.startswith('iteration 4, epoch 2: ')
    assert 'process 0: loss = -inf; 32 images' in text
    (names,) = re.findall('the first 10: (.*)', text)
    assert len(re.findall(r'image \d+', names)) == 10
    assert_unchanged(runner)


def test_images_are_named_by_their_paths(tmp_path):
    runner = digits_runner(
        tmp_path,
        **{
            'train_dataloader.batch_size': 3,
            'train_dataloader.dataset.indices': 3,
        },
    )
    runner.train_dataloader.dataset.pipeline.transforms.insert(
        0, lambda info: dict(info, img_path=f'/a b/{info["sample_idx"]}.png')
    )
    spoil_loss(runner, 1, NAN, 'more_loss')
    with pytest.raises(RuntimeError, match='3 images in the batch: ') as error:
        runner.train()
    (names,) = re.findall('batch: (.*)', str(error.value))
    assert sorted(names.split(', ')) == [f'/a b/{i}.png' for i in range(3)]


def test_a_step_that_spoils_parameters_is_not_saved(tmp_path):
    runner = digits_runner(
        tmp_path,
        **{
            'optim_wrapper.optimizer.lr': torch.inf,
            'default_hooks.checkpoint.interval': 1,
            'default_hooks.checkpoint.by_epoch': False,
        },
    )
    runner.param_schedulers = []
    with pytest.raises(
        RuntimeError, match=r'the step made \S+ NaN or infinite, although'
    ) as error:
        runner.train()
    assert str(error.value).startswith('iteration 1, epoch 1: ')
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.skipif(
    not hasattr(torch.amp, 'GradScaler'), reason='a scaler on a CPU'
)
def test_a_gradient_that_mixed_precision_skips_is_no_error(tmp_path):
    """The scale is too large at each of the two steps."""
    runner = digits_runner(tmp_path, **{'model.head.prototype_init': 'xavier'})
    runner.param_schedulers = []
    optim = runner.build_optim_wrapper(runner.optim_wrapper)
    scaler = torch.amp.GradScaler('cpu', init_scale=2.0**127)
    skipped = []

    def step(**kwargs):
        grads = [p.grad for p in trainable_parameters(runner.model).values()]
        skipped.append(not all(g.isfinite().all() for g in grads))
        scaler.step(optim.optimizer)
        scaler.update()

    optim.backward = lambda loss, **kwargs: scaler.scale(loss).backward()
    optim.step = step
    runner.optim_wrapper = optim
    before = copy.deepcopy(trainable_parameters(runner.model))
    runner.train()
    assert skipped == [True, True]
    for name, tensor in trainable_parameters(runner.model).items():
        assert torch.equal(tensor, before[name]), name


class Lossy(BaseModel):
    """Returns the loss that it was made with."""

    def __init__(self, loss: float) -> None:
        super().__init__()
        self.loss = torch.tensor(loss)

    def forward(self, mode: str) -> dict[str, torch.Tensor]:
        return dict(loss=self.loss)


def take_part(rank: int, folder: str, answers) -> None:
    torch.distributed.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=2
    )
    runner = SimpleNamespace(
        model=Lossy((0.5, torch.nan)[rank]),
        iter=0,
        epoch=0,
    )
    FiniteLossHook().before_train(runner)
    try:
        runner.model(mode='loss')
    except RuntimeError as error:
        answers.put(str(error))
    else:
        answers.put('went on')


@pytest.mark.filterwarnings('ignore:.*fork:DeprecationWarning')
def test_all_processes_stop_if_one_has_to(tmp_path):
    context = multiprocessing.get_context('fork')
    answers = context.Queue()
    processes = [
        context.Process(target=take_part, args=(rank, str(tmp_path), answers))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    texts = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert texts[0] == texts[1]
    assert 'process 1: loss = nan; 0 images in the batch' in texts[0]
    assert 'process 0' not in texts[0]
