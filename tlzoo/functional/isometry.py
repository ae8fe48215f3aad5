"""Coordinates of few points in few dimensions: n points span at most n, and only inner products matter."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["joint_coordinates", "split_coordinates"]


def joint_coordinates(products: Tensor) -> Tensor:
    """Return points (E, N, N), as rows, with the given inner products (E, N, N).

    They are the rows of the Cholesky factor or, if the points depend linearly on each other up to rounding, of the
    square root from the eigenvectors.

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
    """Return support (E, S, S + 1) and queries (E, Q, S + 1) with all inner products except those between queries.

    The coordinates keep the products within the support, between support and queries, and of each query with itself.
    The last coordinate holds the part of a query outside the span of the support, so products between two queries are
    lost. An inductive method, which classifies each query on its own, gives the same predictions.

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
    """Return square roots of the eigenvalues (E, 1, N), the eigenvectors (E, N, N), and which values are nonzero."""
    values, vectors = torch.linalg.eigh(products)
    kept = values > _slack(products) * values[:, -1:].clamp_min(0)
    return values.where(kept, 0).sqrt().unsqueeze(1), vectors, kept.unsqueeze(1)
