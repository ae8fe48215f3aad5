"""SDMGrad: the shortest combination of gradients, pulled toward their mean."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least
from tlzoo.functional.gramians import min_norm_weights
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.paper import Paper

__all__ = ["SDMGrad"]


class SDMGrad(GramianWeighting):
    r"""Direction-oriented multi-objective learning (Xiao, Ban & Ji, NeurIPS 2023), https://arxiv.org/abs/2305.18409.

    .. math::

        \min_w \tfrac{1}{2} \lVert J^\top (w + \lambda u) \rVert^2, \qquad
        d = \frac{J^\top (w + \lambda u)}{1 + \lambda}

    with w on the simplex and uniform u. lambda = 0 is MGDA; large lambda gives the mean gradient.

    Differs from the paper: the minimum is exact for the gradients of the current batch. The paper takes steps of
    stochastic gradient descent on w with two further batches, which makes them unbiased.

    Args:
        num_tasks: T.
        lam: lambda, the pull of the mean gradient, >= 0.

    >>> import torch
    >>> SDMGrad(2).weights(torch.ones(2), torch.eye(2))
    tensor([0.5000, 0.5000])
    """

    paper = Paper(
        title="Direction-oriented Multi-objective Learning: Simple and Provable Stochastic Algorithms",
        authors=("Xiao", "Ban", "Ji"),
        venue="NeurIPS",
        year=2023,
        arxiv="2305.18409",
    )
    variants = ({}, {"lam": 0.0})

    def __init__(self, num_tasks: int, *, lam: float = 0.3) -> None:
        super().__init__(num_tasks)
        check_at_least(0, lam=lam)
        self.lam = lam

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return (w + lam u) / (1 + lam)."""
        mean = torch.full_like(gramian[0], 1 / len(gramian))
        # on the simplex J^T (w + lam u) is the combination w of the rows g_i + lam g0
        product = gramian @ mean
        shifted = gramian + self.lam * (product + product[:, None]) + self.lam**2 * (mean @ product)
        return (min_norm_weights(shifted) + self.lam * mean) / (1 + self.lam)
