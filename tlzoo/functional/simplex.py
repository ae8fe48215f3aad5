"""Projection onto the probability simplex."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["project_on_simplex"]


def project_on_simplex(rows: Tensor) -> Tensor:
    """Return the point of the probability simplex closest to each row (..., K).

    >>> project_on_simplex(torch.tensor([0.5, 1.0, -3.0]))
    tensor([0.2500, 0.7500, 0.0000])
    """
    falling, _ = rows.sort(dim=-1, descending=True)
    places = torch.arange(1, rows.shape[-1] + 1, device=rows.device, dtype=rows.dtype)
    levels = (falling.cumsum(dim=-1) - 1) / places
    kept = (falling > levels).sum(dim=-1, keepdim=True).clamp_min(1)
    return (rows - levels.gather(-1, kept - 1)).clamp_min(0)
