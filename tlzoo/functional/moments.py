"""Losses on the moments of source and target features."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from tlzoo.functional.checks import check_choice, check_pair

__all__ = ["coral_loss", "covariance"]


def covariance(features: Tensor) -> Tensor:
    """Return the (D, D) covariance of features (N, D), divided by N - 1.

    Raises:
        ValueError: fewer than two points.

    >>> import torch
    >>> covariance(torch.tensor([[0.0], [2.0]])).item()
    2.0
    """
    if len(features) < 2:
        raise ValueError(f"{len(features)} points have no covariance; expected at least two")
    centered = features - features.mean(dim=0)
    return centered.T @ centered / (len(features) - 1)


def coral_loss(source: Tensor, target: Tensor, *, normalization: Literal["paper", "domainbed"] = "paper") -> Tensor:
    """Correlation alignment (Sun & Saenko, ECCV Workshops 2016), https://arxiv.org/abs/1607.01719.

    paper: ||C_s - C_t||_F^2 / (4 D^2); domainbed: the mean of (C_s - C_t)^2 plus the mean of (m_s - m_t)^2, with m the
    feature means, as Gulrajani & Lopez-Paz (ICLR 2021) use it.

    Args:
        source: (N, D) features.
        target: (M, D) features.
        normalization: which of the two.

    Raises:
        ValueError: widths differ, fewer than two points on a side, where no covariance is defined, or an unknown
            normalization.

    >>> import torch
    >>> source = torch.tensor([[0.0], [2.0]])
    >>> coral_loss(source, 2 * source).item()  # variances 2 and 8
    9.0
    """
    check_choice(normalization, ("paper", "domainbed"), what="normalization")
    check_pair(source, target, least=2)
    difference = covariance(source) - covariance(target)
    if normalization == "paper":
        return difference.square().sum() / (4 * source.shape[1] ** 2)
    return difference.square().mean() + (source.mean(dim=0) - target.mean(dim=0)).square().mean()
