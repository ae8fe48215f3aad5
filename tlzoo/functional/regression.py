"""Distances of domains for regression, which keep the scale of features: targets have no classes to cluster by."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_pair

__all__ = ["inverse_gram_distance", "subspace_distance"]


def subspace_distance(source: Tensor, target: Tensor, *, mismatch_weight: float = 0.01) -> Tensor:
    r"""Representation subspace distance, RSD with BMP (Chen et al., ICML 2021), https://proceedings.mlr.press/v139/chen21u.html.

    .. math::

        \sum_i \sin \theta_i + w \, \lVert \, |P| - |Q| \, \rVert_F, \qquad
        U_s^\top U_t = P \, \mathrm{diag}(\cos \theta) \, Q^\top

    with orthonormal bases U of the features, from their singular vectors, and the principal angles theta between them.
    The paper adds it to the squared error with a weight of 0.001.

    It is computed in float64: the gradient divides by differences of singular values, and is no number where features
    are linearly dependent. Subspaces of different size have as many angles as the smaller one.

    Differs from the authors' code: cosines that pass 1 by rounding count as 1, with gradient 0, where it gives NaN.

    Args:
        source: (N, D) features, N <= D.
        target: (M, D) features, M <= D.
        mismatch_weight: w, of the bases mismatch penalty; it needs N = M unless it is 0.

    Raises:
        ValueError: the widths differ, a side is empty or has more rows than columns (its subspace is everything), or
            the penalty is asked of sides of different size.

    >>> first, second = torch.eye(3)[:1], torch.tensor([[1.0, 1.0, 0.0]])
    >>> round(subspace_distance(first, second, mismatch_weight=0.0).item(), 4)  # sin 45 degrees
    0.7071
    """
    source, target = check_pair(source, target)
    rows = (len(source), len(target))
    if max(rows) > source.shape[1]:
        raise ValueError(f"{rows[0]} and {rows[1]} rows of width {source.shape[1]} span everything; give fewer rows")
    if mismatch_weight and rows[0] != rows[1]:
        raise ValueError(f"{rows[0]} and {rows[1]} rows; expected as many a side, or mismatch_weight=0")
    ours, theirs = (torch.linalg.svd(side.double().T, full_matrices=False).U for side in (source, target))
    first, cosines, second = torch.linalg.svd(ours.T @ theirs, full_matrices=False)
    squares = 1 - cosines.square()
    apart = squares > 0
    distance: Tensor = torch.where(apart, squares.where(apart, torch.ones_like(squares)).sqrt(), 0.0).sum()
    if mismatch_weight:
        distance = distance + mismatch_weight * torch.linalg.matrix_norm(first.abs() - second.mH.abs())
    return distance.to(source.dtype)


def inverse_gram_distance(
    source: Tensor,
    target: Tensor,
    *,
    threshold: float = 0.9,
    angle_weight: float = 0.05,
    scale_weight: float = 0.001,
) -> Tensor:
    r"""DARE-GRAM (Nejjar et al., CVPR 2023), https://arxiv.org/abs/2303.13325.

    .. math::

        a \frac{1}{D + 1} \sum_j \left| 1 - \cos(G_s^{+ j}, G_t^{+ j}) \right|
        + b \frac{1}{k} \lVert \lambda_s^{1..k} - \lambda_t^{1..k} \rVert

    with the Gram matrices :math:`G = [1, F]^\top [1, F]`, the columns of their pseudo-inverses of rank k, and their
    largest eigenvalues. One less than k eigenvalues of a domain hold at most ``threshold`` of the sum, in that of the
    two domains that needs more.

    Differs from the authors' code: the rank of both pseudo-inverses is k, while rounding decides there whether it is
    k or k + 1. Its gradient is torch's for a pseudo-inverse, as there: it holds the space of the small eigenvalues as
    if they were 0.

    Args:
        source: (N, D) features.
        target: (M, D) features.
        threshold: share of the eigenvalues, in (0, 1).
        angle_weight: a.
        scale_weight: b.

    Raises:
        ValueError: the widths differ, a side is empty, or the threshold is no share.

    >>> features = torch.tensor([[1.0, 2.0], [0.0, 1.0], [3.0, 1.0]])
    >>> round(inverse_gram_distance(features, features).item(), 6)
    0.0
    """
    source, target = check_pair(source, target)
    if not 0 < threshold < 1:
        raise ValueError(f"threshold {threshold}; expected a share between 0 and 1")
    grams, values, directions = [], [], []
    for side in (source, target):
        rows = F.pad(side.double(), (1, 0), value=1.0)
        gram = rows.T @ rows
        vectors = torch.linalg.svd(rows.detach(), full_matrices=False).Vh.T
        found = (rows @ vectors).square().sum(dim=0)  # eigenvalues, with their gradient
        grams.append(gram)
        directions.append(vectors)
        values.append(F.pad(found, (0, len(gram) - len(found))))
    rank = max(_last_within(own.detach(), threshold) for own in values)
    ours, theirs = (_pseudo_inverse(*parts, rank) for parts in zip(grams, values, directions, strict=True))
    angle = (1 - F.cosine_similarity(ours, theirs, dim=0, eps=1e-6)).abs().mean()
    scale = torch.linalg.vector_norm(values[0][:rank] - values[1][:rank]) / rank
    total: Tensor = angle_weight * angle + scale_weight * scale
    return total.to(source.dtype)


def _last_within(values: Tensor, threshold: float) -> int:
    """Return the last place at which the cumulated share of descending values is at most the threshold, at least 1."""
    shares = values.cumsum(0) / values.sum()
    limit = max(threshold, float(shares[1]))
    return int((shares <= limit).nonzero()[-1])


def _pseudo_inverse(gram: Tensor, values: Tensor, directions: Tensor, rank: int) -> Tensor:
    """Return the pseudo-inverse of rank ``rank`` of a symmetric matrix with these descending eigenvalues.

    Its gradient is that of torch's pseudo-inverse, in closed form, and costs products in place of a decomposition.
    """
    count = int((values > len(values) * torch.finfo(values.dtype).eps * values[0]).sum())
    count = min(rank, count, directions.shape[1])
    kept, scales = directions[:, :count], 1 / values[:count].detach()
    half = kept * scales
    change = (gram - gram.detach()) @ kept
    within = kept.T @ change
    beside = (change - kept @ within) * scales.square() @ kept.T
    inverse: Tensor = half @ kept.T - half @ within @ half.T + beside + beside.T
    return inverse
