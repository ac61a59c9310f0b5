"""What the benchmark compares, and what it holds on to."""

import gc
import weakref

import pytest
import torch

from benchmarks.entrants import Setting, make_entrant
from benchmarks.measure import (
    check,
    kept_mb,
    measure_batch,
)


def test_bfloat16_of_kept_states():
    setting = Setting('deit-tiny', 32)
    images = setting.images(2)
    outputs = {}
    for name in ('late', 'late, cached', 'late, cached, bfloat16'):
        entrant = make_entrant(name, setting)
        inputs = entrant.inputs(images)
        assert inputs.shape[1:] == (
            (3, 32, 32) if name == 'late' else (6, 192)
        )
        assert inputs.dtype == (
            torch.bfloat16 if 'bfloat16' in name else torch.float32
        )
        (outputs[name],) = entrant.module(inputs)
    late, cached, rounded = outputs.values()
    torch.testing.assert_close(cached, late)
    assert 0 < (rounded - late).norm() < 0.05 * late.norm()


def test_what_is_kept_is_let_go():
    setting = Setting('deit-tiny', 32)
    module = make_entrant('ours', setting).module
    # Lives as long as the graph.
    marker = type('Marker', (), {})()
    held = weakref.ref(marker)
    markers = [marker]
    del marker
    module.encoder.layers[3].register_forward_hook(
        lambda layer, args, out: out.grad_fn.metadata.update(
            marker=markers.pop()
        )
    )
    assert kept_mb(module, setting.images(2)) > 1
    gc.collect()
    assert not markers
    assert held() is None


def test_each_is_compared_with_one_that_does_the_same():
    setting = Setting('deit-tiny', 32)
    names = ('mmpretrain', 'ours', 'late', 'late, cached')
    names += tuple(f'{name}, bfloat16' for name in names[1:])
    made = {name: make_entrant(name, setting) for name in names}
    differences = check(made, setting.images(2))
    assert set(differences) == {*names} - {'ours', 'late'}
    for name, difference in differences.items():
        assert difference > 0 or name == 'late, cached'
        assert (difference > 1e-3) == ('bfloat16' in name)


@pytest.mark.parametrize('name', ['late, cached', 'late, cached, bfloat16'])
def test_kept_states_of_another_backbone_are_not_timed(name):
    setting = Setting('deit-tiny', 32)
    made = {x: make_entrant(x, setting) for x in ('ours', 'late', name)}
    with torch.no_grad():
        made[name].module.encoder.ln1.bias.add_(0.3)
    with pytest.raises(RuntimeError, match=f'{name} differs from late by'):
        check(made, setting.images(1))


@pytest.mark.parametrize('name', ['ours', 'mmpretrain'])
def test_differing_outputs_are_not_timed(name):
    setting = Setting('deit-tiny', 32)
    made = {x: make_entrant(x, setting) for x in ('mmpretrain', 'ours')}
    with torch.no_grad():
        made[name].module.get_parameter(
            'encoder.ln1.bias'
            if name == 'ours'
            else 'backbone.encoder.ln1.bias'
        ).add_(1e-3)
    with pytest.raises(RuntimeError, match='mmpretrain differs from ours by'):
        check(made, setting.images(1))


def test_what_is_compiled_is_compiled_for_each_batch():
    setting = Setting('deit-tiny', 32)
    names = ('mmpretrain', 'ours', 'ours, bfloat16')
    entrants = {name: make_entrant(name, setting) for name in names}
    compiled = []

    def backend(graph, example_inputs):
        compiled.append(
            {size for x in example_inputs for size in getattr(x, 'shape', ())}
        )
        return graph.forward

    for name in names[1:]:
        entrants[name].module.compile(backend=backend)
    for batch_size in (2, 3, 5, 7, 9):
        compiled.clear()
        measure_batch(setting, entrants, batch_size, 1)
        # Neither an older graph with a batch of any size nor, because there
        # are too many of them, none.
        assert all(
            isinstance(size, int) for sizes in compiled for size in sizes
        )
        assert sum(batch_size in sizes for sizes in compiled) >= 4
