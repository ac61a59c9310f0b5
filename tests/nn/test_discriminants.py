"""Discriminants against scikit-learn's covariance and SciPy's eigenvectors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh, subspace_angles
from sklearn.covariance import ledoit_wolf

from vptm_mm.nn import discriminant_projection, shrunk_covariance


def draw_states(count, width, seed=0):
    """States of mean 0 that vary more in some directions than in others."""
    generator = torch.Generator().manual_seed(seed)
    options = dict(generator=generator, dtype=torch.double)
    states = torch.randn(count, width, **options)
    states = states @ torch.randn(width, width, **options)
    return states - states.mean(0)


def moments(states):
    covariance = states.T @ states / len(states)
    return covariance, states.square().sum(1).square().mean()


@settings(deadline=None, max_examples=50)
@given(
    count=st.integers(3, 40),
    width=st.integers(1, 20),
    seed=st.integers(0, 999),
)
def test_shrinks_as_scikit_learn(count, width, seed):
    states = draw_states(count, width, seed)
    ours = shrunk_covariance(*moments(states), count)
    theirs, _ = ledoit_wolf(states.numpy(), assume_centered=True)
    torch.testing.assert_close(ours, torch.from_numpy(theirs))


@settings(deadline=None, max_examples=50)
@given(
    groups=st.integers(3, 20),
    views=st.integers(1, 5),
    width=st.integers(1, 10),
    seed=st.integers(0, 999),
)
def test_shrinks_by_the_error_between_groups(groups, views, width, seed):
    """The estimator written out: error of a mean of independent matrices."""
    states = draw_states(groups * views, width, seed)
    second = torch.stack(
        [part.T @ part / views for part in states.split(views)]
    )
    covariance = second.mean(0)
    target = covariance.trace() / width * torch.eye(width).double()
    error = (second - covariance).square().sum() / groups**2
    distance = (covariance - target).square().sum()
    share = min(error / distance, 1.0) if distance > 0 else 1.0
    ours = shrunk_covariance(
        covariance, second.square().sum((1, 2)).mean(), groups
    )
    expected = (1 - share) * covariance + share * target
    torch.testing.assert_close(ours, expected)


def test_two_states_still_have_discriminants():
    """As opposite states they tell nothing about the error."""
    states = draw_states(2, 12)
    covariance = shrunk_covariance(*moments(states), 2)
    torch.testing.assert_close(
        covariance, covariance.trace() / 12 * torch.eye(12).double()
    )
    ours = discriminant_projection(covariance, states, initial_projection(3))
    first, second = torch.nn.functional.normalize(states @ ours.T, dim=1)
    torch.testing.assert_close(first, -second)


def problem(width=12, classes=4):
    states = draw_states(200, width)
    labels = torch.arange(200) % classes
    means = torch.stack([states[labels == k].mean(0) for k in range(classes)])
    return moments(states)[0], means


def initial_projection(dim, width=12):
    return torch.nn.init.orthogonal_(torch.empty(dim, width).double())


def test_spans_the_space_of_the_discriminants():
    """Those of the generalised eigenproblem, between against all."""
    covariance, means = problem()
    between = means.T @ means
    _, vectors = eigh(between.numpy(), covariance.numpy())
    ours = discriminant_projection(covariance, means, initial_projection(3))
    angles = subspace_angles(ours.T.numpy(), vectors[:, -3:])
    assert angles.max() < 1e-5  # of the broken ties


@pytest.mark.parametrize('dim', [3, 12, 30])
def test_whitens(dim):
    covariance, means = problem()
    projection = discriminant_projection(
        covariance, means, initial_projection(dim)
    )
    assert projection.shape == (dim, 12)
    kept = min(dim, 12)
    assert projection.norm() == pytest.approx(kept**0.5)
    # Directions that are kept have one variance, others none.
    variances = torch.linalg.eigvalsh(projection @ covariance @ projection.T)
    assert variances[-kept:].std() < 1e-6 * variances[-1]
    assert variances[:-kept].abs().sum() < 1e-6 * variances[-1]


def test_more_dimensions_than_the_state_leave_no_dead_one():
    covariance, means = problem()
    large, small = (
        discriminant_projection(covariance, means, initial_projection(dim))
        for dim in (30, 12)
    )
    assert large.norm(dim=1).min() > 0.01
    torch.testing.assert_close(large.T @ large, small.T @ small)


@pytest.mark.parametrize('dim', [6, 12, 30])
def test_rounding_moves_it_little(dim):
    """Between-class variance is 0 in most directions: ties are broken."""
    covariance, means = problem()
    initial = initial_projection(dim)
    noise = torch.randn_like(covariance) * 1e-9
    ours = discriminant_projection(covariance, means, initial)
    moved = discriminant_projection(
        covariance + noise + noise.T, means, initial
    )
    torch.testing.assert_close(ours, moved, atol=1e-6, rtol=0)
