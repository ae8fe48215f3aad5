"""Losses on the moments of source and target features."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from tlzoo.functional.checks import check_choice, check_pair, check_positive_definite
from tlzoo.functional.precision import at_least_float32, full_precision, matmul

__all__ = [
    "central_moment_discrepancy",
    "coral_loss",
    "covariance",
    "higher_order_moment_loss",
    "moment_distance",
    "standardization",
    "symmetric_power",
]


def covariance(features: Tensor) -> Tensor:
    """Return the (D, D) sample covariance (divisor N - 1) of features (N, D).

    Raises:
        ValueError: there are fewer than two points.

    >>> covariance(torch.tensor([[0.0], [2.0]])).item()
    2.0
    """
    if len(features) < 2:
        raise ValueError(f"{len(features)} points have no covariance; expected at least two")
    features = at_least_float32(features)
    centered = features - features.mean(dim=0)
    return matmul(centered.T, centered) / (len(features) - 1)


def symmetric_power(matrix: Tensor, exponent: float) -> Tensor:
    """Return a power of a symmetric positive definite matrix (D, D), from its eigenvectors.

    Raises:
        ValueError: it is not square, or an eigenvalue is zero or negative up to rounding.

    >>> symmetric_power(torch.diag(torch.tensor([4.0, 9.0])), -0.5).diagonal().mul(6).tolist()
    [3.0, 2.0]
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a matrix of shape {tuple(matrix.shape)}; expected (D, D)")
    matrix = at_least_float32(matrix)
    values, vectors = torch.linalg.eigh(matrix.detach())
    check_positive_definite(values)
    powers = values**exponent
    power = matmul(vectors * powers, vectors.T)
    if not matrix.requires_grad:
        return power
    # the derivative by divided differences is finite for eigenvalues that coincide, unlike that of eigenvectors
    gaps, means = values[:, None] - values, 0.5 * (values[:, None] + values)
    near = gaps.abs() <= torch.finfo(values.dtype).eps ** (1 / 3) * means
    ratios = (powers[:, None] - powers) / gaps.where(~near, torch.ones_like(gaps))
    slopes = torch.where(near, exponent * means ** (exponent - 1), ratios)
    with full_precision(matrix):
        moved = vectors.T @ (matrix - matrix.detach()) @ vectors  # zero, with the gradient of the matrix
        differentiable: Tensor = power + vectors @ (slopes * moved) @ vectors.T
    return differentiable


def standardization(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) and standard deviation (D,; divisor N) of features (N, D); 1 for a feature that is constant.

    A feature counts as constant if it varies less than rounding: its own, or that of the feature that varies most. Dead
    dimensions of pretrained encoders are like this, and dividing by their deviation would amplify noise.

    Raises:
        ValueError: there are no features.

    >>> mean, deviation = standardization(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
    >>> mean.tolist(), deviation.tolist()
    ([1.0, 5.0], [1.0, 1.0])
    """
    if not len(features):
        raise ValueError("an empty batch has no mean; expected one row of features or more")
    features = at_least_float32(features)
    mean, deviation = features.mean(dim=0), features.std(dim=0, correction=0)
    eps = torch.finfo(features.dtype).eps
    level = (features.abs().amax(dim=0) * 10 * eps).maximum(deviation.amax() * eps)
    return mean, deviation.where(deviation > level, torch.ones_like(deviation))


def coral_loss(source: Tensor, target: Tensor, *, normalization: Literal["paper", "domainbed"] = "paper") -> Tensor:
    r"""Correlation alignment (Sun & Saenko, ECCV Workshops 2016), https://arxiv.org/abs/1607.01719.

    With the normalization of the paper, from covariances C:

    .. math:: \frac{1}{4 D^2} \lVert C_s - C_t \rVert_F^2

    With that of DomainBed (Gulrajani & Lopez-Paz, ICLR 2021), which adds the feature means m:

    .. math:: \frac{1}{D^2} \lVert C_s - C_t \rVert_F^2 + \frac{1}{D} \lVert m_s - m_t \rVert^2

    Args:
        source: (N, D) features.
        target: (M, D) features.
        normalization: ``"paper"`` or ``"domainbed"``.

    Raises:
        ValueError: the widths differ, a side has fewer than two points and so no covariance, or the normalization is
            unknown.

    >>> source = torch.tensor([[0.0], [2.0]])
    >>> coral_loss(source, 2 * source).item()  # variances 2 and 8
    9.0
    """
    check_choice(normalization, ("paper", "domainbed"), what="normalization")
    source, target = check_pair(source, target, least=2)
    difference = covariance(source) - covariance(target)
    if normalization == "paper":
        return difference.square().sum() / (4 * source.shape[1] ** 2)
    return difference.square().mean() + (source.mean(dim=0) - target.mean(dim=0)).square().mean()


def central_moment_discrepancy(source: Tensor, target: Tensor, *, moments: int = 5, span: float = 1.0) -> Tensor:
    r"""Central moment discrepancy (Zellinger et al., ICLR 2017), https://arxiv.org/abs/1702.08811.

    .. math::

        \frac{1}{|b - a|} \lVert m_s - m_t \rVert
        + \sum_{k=2}^{K} \frac{1}{|b - a|^k} \lVert c_k(s) - c_k(t) \rVert

    with the means m and the central moments c_k of each feature.

    Args:
        source: (N, D) features in an interval [a, b].
        target: (M, D) features in the same interval.
        moments: K.
        span: length b - a of the interval, 1 for a sigmoid, 2 for tanh.

    Raises:
        ValueError: widths differ, an empty side, fewer than one moment, or a span that is not positive.

    >>> central_moment_discrepancy(torch.zeros(2, 1), torch.ones(3, 1)).item()
    1.0
    """
    source, target = check_pair(source, target)
    if moments < 1 or span <= 0:
        raise ValueError(f"{moments} moments, span {span}; expected at least 1 moment and a span > 0")
    means = source.mean(dim=0), target.mean(dim=0)
    total: Tensor = torch.linalg.vector_norm(means[0] - means[1]) / span
    centered = source - means[0], target - means[1]
    for order in range(2, moments + 1):
        ours, theirs = (side.pow(order).mean(dim=0) for side in centered)
        total = total + torch.linalg.vector_norm(ours - theirs) / span**order
    return total


def higher_order_moment_loss(source: Tensor, target: Tensor, *, order: int = 3, center: bool = True) -> Tensor:
    r"""Higher-order moment matching (Chen et al., AAAI 2020), https://arxiv.org/abs/1912.11976.

    .. math::

        \frac{1}{D^p} \left\lVert \frac{1}{N} \sum_i s_i^{\otimes p}
        - \frac{1}{M} \sum_j t_j^{\otimes p} \right\rVert_F^2

    Since :math:`\langle a^{\otimes p}, b^{\otimes p} \rangle = (a^\top b)^p`, inner products give the exact value
    without the :math:`D^p` entries.

    Args:
        source: (N, D) features.
        target: (M, D) features.
        order: p; 1 is the squared distance between the means, 2 between the second moments.
        center: subtract the mean of each side first, as the authors' code does.

    Raises:
        ValueError: the widths differ, a side is empty, or the order is below 1.

    >>> x = torch.tensor([[0.0], [2.0]])
    >>> higher_order_moment_loss(x, 2 * x, order=2).item()  # variances 1 and 4
    9.0
    """
    source, target = check_pair(source, target)
    if order < 1:
        raise ValueError(f"order {order}; expected at least 1")
    if center:
        source, target = source - source.mean(dim=0), target - target.mean(dim=0)
    width = source.shape[1]
    within = sum((matmul(side, side.T) / width).pow(order).mean() for side in (source, target))
    return within - 2 * (matmul(source, target.T) / width).pow(order).mean()


def moment_distance(sources: Sequence[Tensor], target: Tensor, *, moments: int = 2) -> Tensor:
    r"""Moment distance of several sources and a target (Peng et al., ICCV 2019), https://arxiv.org/abs/1812.01754.

    .. math::

        \sum_{k=1}^{K} \frac{1}{S} \sum_{i} \lVert m_k(s_i) - m_k(t) \rVert
        + \frac{2}{S (S - 1)} \sum_{i < j} \lVert m_k(s_i) - m_k(s_j) \rVert

    with :math:`m_k` the mean of the k-th powers of each feature.

    Args:
        sources: S tensors (N_i, D) of features.
        target: (M, D) features.
        moments: K.

    Raises:
        ValueError: no source, an empty side, widths that differ, or fewer than one moment.

    >>> moment_distance([torch.zeros(2, 1), torch.ones(3, 1)], torch.ones(1, 1), moments=1).item()  # 1/2 + 1
    1.5
    """
    if not sources or moments < 1:
        raise ValueError(f"{len(sources)} sources, {moments} moments; expected at least one of each")
    sources, target = [check_pair(source, target)[0] for source in sources], at_least_float32(target)
    total = target.new_zeros(())
    for order in range(1, moments + 1):
        found = [source.pow(order).mean(dim=0) for source in sources]
        aim = target.pow(order).mean(dim=0)
        total = total + torch.stack([torch.linalg.vector_norm(one - aim) for one in found]).mean()
        if pairs := [torch.linalg.vector_norm(one - other) for one, other in itertools.combinations(found, 2)]:
            total = total + torch.stack(pairs).mean()
    return total
