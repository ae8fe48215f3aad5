"""Ranking of classes: by how much wrong ones come too near to, or before, the right one."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["harmonic_number", "margin_violations"]


def margin_violations(scores: Tensor, labels: Tensor, *, margin: float = 1.0) -> Tensor:
    """Return (B, C) hinges max(0, margin + s_c - s_y) of scores (B, C), 0 at the right class y of labels (B,).

    >>> margin_violations(torch.tensor([[2.0, 1.5, 0.0]]), torch.tensor([0]))
    tensor([[0.0000, 0.5000, 0.0000]])
    """
    right = labels[:, None]
    hinges = (margin + scores - scores.gather(1, right)).clamp_min(0)
    return hinges.scatter(1, right, 0.0)


def harmonic_number(count: Tensor) -> Tensor:
    """Return in float64 the sum of 1/i for i from 1 to each of the counts (B,); 0 of 0.

    >>> harmonic_number(torch.tensor([0, 1, 2])).tolist()
    [0.0, 1.0, 1.5]
    """
    most = int(count.max()) if count.numel() else 0
    terms = 1 / torch.arange(1, most + 1, dtype=torch.float64, device=count.device)
    sums = torch.cat([terms.new_zeros(1), terms.cumsum(0)])
    return sums[count.long()]
