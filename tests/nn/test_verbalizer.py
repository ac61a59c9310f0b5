import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vptm_mm.nn import PrototypicalVerbalizer, instance_loss


def slow_instance_loss(projected, labels, temperature):
    """Equation 3 of ProtoVerb, pair by pair."""
    losses = []
    for i in range(len(labels)):
        for j in range(len(labels)):
            if i == j or labels[i] != labels[j]:
                continue

            def score(k, i=i):
                cosine = F.cosine_similarity(projected[i], projected[k], dim=0)
                return torch.exp(cosine / temperature)

            others = sum(
                score(k) for k in range(len(labels)) if labels[k] != labels[i]
            )
            losses.append(-torch.log(score(j) / (score(j) + others)))
    return torch.stack(losses).mean()


def test_scores_are_cosines_over_temperature():
    torch.manual_seed(0)
    verbalizer = PrototypicalVerbalizer(8, 5, 4, temperature=0.2)
    z = torch.randn(3, 8)
    projected = verbalizer.projection(z)
    expected = torch.stack(
        [
            F.cosine_similarity(
                z @ verbalizer.projection.weight.T, prototype, dim=-1
            )
            / 0.2
            for prototype in verbalizer.prototypes
        ],
        dim=1,
    )
    torch.testing.assert_close(verbalizer(projected), expected)


def test_gradients_match_finite_differences():
    torch.manual_seed(0)
    verbalizer = PrototypicalVerbalizer(
        4, 3, 4, temperature=0.5, learnable_temperature=True
    )
    z = torch.randn(5, 4, dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 2, 1])

    # The verbalizer scores in float32; its formula is repeated in float64.
    def loss(weight, prototypes, log_temperature):
        projected = z @ weight.T
        scores = (
            F.normalize(projected, dim=-1)
            @ F.normalize(prototypes, dim=-1).T
            / log_temperature.exp()
        )
        return F.cross_entropy(scores, labels)

    parameters = (
        verbalizer.projection.weight,
        verbalizer.prototypes,
        verbalizer.log_temperature,
    )
    doubles = [p.detach().double().requires_grad_() for p in parameters]
    assert torch.autograd.gradcheck(loss, doubles)
    scores = verbalizer(verbalizer.projection(z.float()))
    F.cross_entropy(scores, labels).backward()
    expected = torch.autograd.grad(loss(*doubles), doubles)
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(
            parameter.grad.double(), gradient, atol=1e-6, rtol=1e-4
        )


@settings(max_examples=30, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=2, max_size=8),
    temperature=st.floats(0.05, 1),
    seed=st.integers(0, 100),
)
def test_instance_loss_equals_its_definition(labels, temperature, seed):
    torch.manual_seed(seed)
    projected = torch.randn(len(labels), 5).requires_grad_()
    targets = torch.tensor(labels)
    loss = instance_loss(projected, targets, temperature)
    (gradient,) = torch.autograd.grad(loss, projected)
    assert torch.isfinite(gradient).all()
    if len(set(labels)) == len(labels) or len(set(labels)) == 1:
        assert loss.item() == 0
        assert not gradient.any()
    else:
        expected = slow_instance_loss(
            projected.detach().double(), targets, temperature
        )
        torch.testing.assert_close(
            loss.double(), expected, atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize('what', ['feature', 'prototype'])
def test_a_zero_vector_has_a_bounded_gradient(what):
    torch.manual_seed(0)
    verbalizer = PrototypicalVerbalizer(4, 3, 4, temperature=0.1)
    z = torch.randn(2, 4, requires_grad=True)
    with torch.no_grad():
        (z if what == 'feature' else verbalizer.prototypes)[0] = 0
    projected = verbalizer.projection(z)
    loss = F.cross_entropy(verbalizer(projected), torch.tensor([0, 1]))
    loss += instance_loss(projected, torch.tensor([0, 0]), 0.1)
    loss.backward()
    for gradient in (z.grad, verbalizer.prototypes.grad):
        assert gradient.isfinite().all()
        assert gradient.abs().max() < 1e6


def test_instance_loss_of_an_empty_batch_is_zero():
    projected = torch.empty(0, 4, requires_grad=True)
    loss = instance_loss(projected, torch.empty(0, dtype=torch.long), 0.1)
    assert loss.item() == 0


def test_learnable_temperature_is_a_parameter_and_stays_positive():
    verbalizer = PrototypicalVerbalizer(4, 2, 4, 0.1, True)
    assert verbalizer.log_temperature.requires_grad
    verbalizer.log_temperature.data -= 100
    assert verbalizer.temperature > 0
    fixed = PrototypicalVerbalizer(4, 2, 4, 0.1)
    assert 'log_temperature' not in dict(fixed.named_parameters())
    assert 'log_temperature' in fixed.state_dict()


def test_autocast_scores_stay_in_float32():
    torch.manual_seed(0)
    verbalizer = PrototypicalVerbalizer(64, 5, 32, temperature=0.01)
    projected = verbalizer.projection(torch.randn(3, 64)).detach()
    plain = verbalizer(projected)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = verbalizer(projected)
    assert mixed.dtype is torch.float32
    assert torch.equal(mixed, plain)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(in_channels=0), 'in_channels=0 must be an int >= 1'),
        (dict(prototype_dim=-1), 'prototype_dim=-1 must be an int >= 1'),
        (dict(num_classes=2.5), r'num_classes=2\.5 must be an int'),
        (dict(temperature='x'), "temperature='x' must be positive"),
        (dict(temperature=math.nan), 'temperature=nan must be positive'),
        (dict(temperature=math.inf), 'temperature=inf must be positive'),
    ],
)
def test_bad_options(options, message):
    good = dict(in_channels=4, num_classes=2, prototype_dim=4, temperature=0.1)
    with pytest.raises(ValueError, match=message):
        PrototypicalVerbalizer(**{**good, **options})
