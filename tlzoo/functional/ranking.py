"""Ranking of classes: how close wrong classes come to the right one, or how far they pass it."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["harmonic_number", "margin_violations"]


def margin_violations(scores: Tensor, labels: Tensor, *, margin: float = 1.0) -> Tensor:
    r"""Return (B, C) hinges of scores (B, C) with labels y (B,); 0 at the right class.

    .. math:: \max(0, \text{margin} + s_c - s_y)

    >>> margin_violations(torch.tensor([[2.0, 1.5, 0.0]]), torch.tensor([0]))
    tensor([[0.0000, 0.5000, 0.0000]])
    """
    right = labels[:, None]
    hinges = (margin + scores - scores.gather(1, right)).clamp_min(0)
    return hinges.scatter(1, right, 0.0)


def harmonic_number(count: Tensor) -> Tensor:
    r"""Return the harmonic numbers of counts n (B,) in float64; 0 for 0.

    .. math:: \sum_{i=1}^{n} \frac{1}{i} = \psi(n + 1) - \psi(1)

    >>> harmonic_number(torch.tensor([0, 1, 2])).round(decimals=12).tolist()
    [0.0, 1.0, 1.5]
    """
    after = count.double() + 1
    return after.digamma() - torch.ones_like(after).digamma()
