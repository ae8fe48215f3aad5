"""Losses on the singular values and the lengths of features."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_pair
from tlzoo.functional.precision import at_least_float32

__all__ = ["fixed_norm_loss", "spectral_penalty", "stepwise_norm_loss"]


def spectral_penalty(source: Tensor, target: Tensor, *, count: int = 1) -> Tensor:
    r"""Batch spectral penalization (Chen et al., ICML 2019), https://proceedings.mlr.press/v97/chen19i.html.

    .. math:: \sum_{i=1}^{k} \sigma_i(F_s)^2 + \sigma_i(F_t)^2

    with the largest singular values of the features.

    Args:
        source: (N, D) features.
        target: (M, D) features.
        count: k.

    Raises:
        ValueError: the widths differ, a side is empty, or ``count`` is below 1.

    >>> spectral_penalty(torch.eye(2), 2 * torch.eye(2)).item()
    5.0
    """
    source, target = check_pair(source, target)
    if count < 1:
        raise ValueError(f"count {count}; expected at least one singular value")
    largest: list[Tensor] = [torch.linalg.svdvals(side)[:count].square().sum() for side in (source, target)]
    return largest[0] + largest[1]


def stepwise_norm_loss(features: Tensor, *, step: float = 1.0) -> Tensor:
    r"""Stepwise adaptive feature norm, SAFN (Xu et al., ICCV 2019), https://arxiv.org/abs/1811.07456.

    .. math:: \frac{1}{B} \sum_i \left( \lVert f_i \rVert - \mathrm{sg}(\lVert f_i \rVert + r) \right)^2

    for features f (B, D) and the step r. sg stops the gradient: the value is always :math:`r^2`, and the gradient
    lengthens each feature.

    Raises:
        ValueError: the batch is empty.

    >>> round(stepwise_norm_loss(torch.ones(2, 3), step=0.5).item(), 4)
    0.25
    """
    norms = _norms(features)
    return (norms - (norms.detach() + step)).square().mean()


def fixed_norm_loss(features: Tensor, *, norm: float = 25.0) -> Tensor:
    r"""Hard adaptive feature norm, HAFN (Xu et al., ICCV 2019), https://arxiv.org/abs/1811.07456.

    .. math:: \left( \frac{1}{B} \sum_i \lVert f_i \rVert - R \right)^2

    for features f (B, D) and the norm R.

    Raises:
        ValueError: the batch is empty.

    >>> fixed_norm_loss(torch.tensor([[3.0, 4.0]]), norm=7.0).item()
    4.0
    """
    return (_norms(features).mean() - norm).square()


def directions(values: Tensor, dim: int = -1) -> Tensor:
    """Return vectors along ``dim`` divided by their norm; a vector of zeros stays one, with the gradient of ``values``.

    torch's ``normalize`` multiplies the gradient of such vectors by 1e12.

    >>> directions(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    norms: Tensor = torch.linalg.vector_norm(values, dim=dim, keepdim=True)
    return values / norms.where(norms > torch.finfo(norms.dtype).tiny, torch.ones_like(norms))


def _norms(features: Tensor) -> Tensor:
    if features.ndim != 2 or not len(features):
        raise ValueError(f"features of shape {tuple(features.shape)}; expected (B, D) with one row or more")
    norms: Tensor = torch.linalg.vector_norm(at_least_float32(features), dim=1)
    return norms
