"""Directions that tell classes apart, from the moments of a set of states.

Symbols: C width of a state; K classes; d directions.
"""

import torch
from torch import Tensor


def shrunk_covariance(
    covariance: Tensor, fourth_moment: Tensor, count: int
) -> Tensor:
    """Shrink a covariance towards a multiple of the identity.

    By as much as Ledoit and Wolf (2004)
    <https://doi.org/10.1016/S0047-259X(03)00096-4> derive from the number of
    states, so that a few of them still give a covariance of full rank. States
    may come in groups, as views of one image do: groups are independent, the
    states within one are not.

    Args:
        covariance: Of states whose mean is 0, ``(C, C)``.
        fourth_moment: Mean over the groups of |M|^2, where M is the mean of
            x x^T over a group; of single states that is the mean of |x|^4.
        count: How many groups these are the moments of.

    Returns:
        ``(C, C)``.
    """
    width = len(covariance)
    variance = covariance.trace() / width
    target = variance * torch.eye(
        width, dtype=covariance.dtype, device=covariance.device
    )
    distance = (covariance - target).square().sum()
    # Not below 0, to where rounding may take it.
    error = (fourth_moment - covariance.square().sum()).clamp(min=0) / count
    share = 1.0 if distance <= error else float(error / distance)
    # Two states that differ: what they say has no error, and no full rank.
    if error <= 1e-12 * distance:
        share = 1.0
    return (1 - share) * covariance + share * target


def regularized_covariance(
    covariance: Tensor, class_means: Tensor, share: float = 0.5
) -> Tensor:
    """Shrink a covariance within classes towards a multiple of the identity.

    Regularized Discriminant Analysis (Friedman, 1989)
    <https://doi.org/10.1080/01621459.1989.10478752>, by a fixed share: half
    was best on validation images, averaged over six data sets.

    Args:
        covariance: Of the deviations from class means, ``(C, C)``. Of one
            state a class it is 0, but for rounding: the identity then.
        class_means: ``(K, C)``, for the scale of rounding.
        share: Of the identity.

    Returns:
        ``(C, C)``.
    """
    width = len(covariance)
    identity = torch.eye(
        width, dtype=covariance.dtype, device=covariance.device
    )
    variance = covariance.trace() / width
    if variance <= 1e-10 * class_means.square().mean():
        return identity
    return (1 - share) * covariance + share * variance * identity


def discriminant_projection(
    covariance: Tensor, class_means: Tensor, initial: Tensor
) -> Tensor:
    """Whiten, then keep the directions in which class means differ most.

    These are Fisher's linear discriminants: they compare the differences
    between classes with the differences among all states, or within classes.
    Beyond them come the directions of largest variance. Of all rotations of
    the result, which no cosine tells apart, it is the one nearest to the
    initial projection: so rounding moves it little, and no row is 0 where
    d > C.

    Args:
        covariance: Of all states or within classes, positive definite,
            ``(C, C)``.
        class_means: Of states whose mean is 0, ``(K, C)``.
        initial: An orthogonal projection, ``(d, C)``.

    Returns:
        ``(d, C)``, of the length of an orthogonal one.
    """
    variances, axes = torch.linalg.eigh(covariance)
    whiten = axes / variances.sqrt() @ axes.T  # (C, C)
    white_means = class_means @ whiten  # (K, C)
    between = white_means.T @ white_means
    ties = between.trace() * covariance / variances.max()
    _, directions = torch.linalg.eigh(between + 1e-6 * ties)
    kept = directions[:, -len(initial) :]  # (C, min(d, C))
    left, _, right = torch.linalg.svd(initial @ kept, full_matrices=False)
    projection = left @ right @ kept.T @ whiten
    return projection * (kept.size(1) ** 0.5 / projection.norm())
