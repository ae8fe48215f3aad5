"""What IMTL and IMTL-G share."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.gramians import left_singular

__all__ = ["impartial_weights"]

_LEAST_SUM = 1e-12


def impartial_weights(gramian: Tensor) -> Tensor:
    """Return the weights of equal projections, pinv(G) |g| (K,) divided by its sum; zeros if the sum is zero."""
    lengths = gramian.diagonal().clamp_min(0).sqrt()
    vectors, values = left_singular(gramian)
    weights = (vectors / values**2) @ (vectors.T @ lengths)
    total = weights.sum()
    return weights / total if total.abs() > _LEAST_SUM * weights.abs().sum() else torch.zeros_like(weights)
