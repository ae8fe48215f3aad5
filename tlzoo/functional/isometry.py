"""Coordinates of few points in few dimensions: n points span at most n, and inner products are all that is kept."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["joint_coordinates", "split_coordinates"]


def joint_coordinates(products: Tensor) -> Tensor:
    """Return points (E, N, N), as rows, whose inner products are those given (E, N, N).

    They are the Cholesky factor, and where there is none (points that are dependent but for rounding) the square root
    from the eigenvectors.

    >>> points = joint_coordinates(torch.tensor([[[4.0, 2.0], [2.0, 2.0]]]))
    >>> (points @ points.transpose(1, 2)).tolist()
    [[[4.0, 2.0], [2.0, 2.0]]]
    """
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(products)
    if bool(failed.any()):
        rest = failed > 0
        roots, vectors, _ = _roots(products[rest])
        factor[rest] = vectors * roots
    return factor


def split_coordinates(support: Tensor, across: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return support (E, S, S + 1) and queries (E, Q, S + 1) with the inner products that a query alone can have.

    These are the products of the support with itself and with each query, and each query's with itself. Those of two
    queries are not kept: the last coordinate holds what of a query lies outside of the support's span. An inductive
    method, which answers each query on its own, cannot tell the difference.

    Args:
        support: (E, S, S) inner products of the support.
        across: (E, Q, S) of queries with the support.
        lengths: (E, Q) of queries with themselves.
    """
    factor, failed = torch.linalg.cholesky_ex(support)
    pivots = factor.diagonal(dim1=1, dim2=2).square()
    least = _slack(support) * support.diagonal(dim1=1, dim2=2).amax(dim=1)
    rest = (failed > 0) | ~(pivots.amin(dim=1) > least)  # dividing by a small pivot would blow rounding up
    if bool(rest.any()):
        factor[rest] = torch.eye(factor.shape[1], dtype=factor.dtype, device=factor.device)
    inside = torch.linalg.solve_triangular(factor, across.transpose(1, 2), upper=False).transpose(1, 2)
    if bool(rest.any()):
        roots, vectors, kept = _roots(support[rest])
        factor[rest] = vectors * roots
        inside[rest] = across[rest] @ vectors * torch.where(kept, 1 / roots, 0)
    outside = (lengths - inside.square().sum(dim=-1)).clamp_min(0).sqrt()
    return torch.cat([factor, torch.zeros_like(factor[..., :1])], dim=-1), torch.cat([inside, outside[..., None]], -1)


def _slack(products: Tensor) -> float:
    return 10 * products.shape[-1] * torch.finfo(products.dtype).eps


def _roots(products: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the square roots (E, 1, N) of the eigenvalues, eigenvectors (E, N, N), and which values are not zero."""
    values, vectors = torch.linalg.eigh(products)
    kept = values > _slack(products) * values[:, -1:].clamp_min(0)
    return values.where(kept, 0).sqrt().unsqueeze(1), vectors, kept.unsqueeze(1)
