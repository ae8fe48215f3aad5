"""IMTL-G: a direction with equal projections on all task gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.gramians import left_singular
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.paper import Paper

__all__ = ["IMTLG"]

_LEAST_SUM = 1e-12


class IMTLG(GramianWeighting):
    r"""The gradient half of impartial multitask learning (Liu et al., ICLR 2021), https://openreview.net/forum?id=IMPnRXEWpvr.

    .. math::

        \frac{\langle d, g_i \rangle}{\lVert g_i \rVert} = \frac{\langle d, g_j \rangle}{\lVert g_j \rVert}
        \quad \text{for all } i, j, \qquad \sum_i w_i = 1

    Differs from the paper: the general form of Quinton & Rey (2024), with weights proportional to pinv(G) |g|, allows
    linearly dependent gradients.

    Args:
        num_tasks: T.

    >>> import torch
    >>> IMTLG(2).weights(torch.ones(2), torch.diag(torch.tensor([4.0, 1.0])))
    tensor([0.3333, 0.6667])
    """

    label = "IMTL-G"
    paper = Paper(
        title="Towards Impartial Multi-task Learning",
        authors=("Liu", "Li", "Kuang", "Xue", "Chen", "Yang", "Liao", "Zhang"),
        venue="ICLR",
        year=2021,
        page="https://openreview.net/forum?id=IMPnRXEWpvr",
    )

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return pinv(G) |g| divided by its sum; zeros if the sum is zero."""
        lengths = gramian.diagonal().clamp_min(0).sqrt()
        vectors, values = left_singular(gramian)
        weights = (vectors / values**2) @ (vectors.T @ lengths)
        total = weights.sum()
        return weights / total if total.abs() > _LEAST_SUM * weights.abs().sum() else torch.zeros_like(weights)
