"""FairGrad: alpha-fair gains of the tasks."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least
from tlzoo.functional.gramians import fair_weights
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.paper import Paper
from tlzoo.space import Space, Uniform

__all__ = ["FairGrad"]


class FairGrad(GramianWeighting):
    r"""Fair resource allocation (Ban & Ji, ICML 2024), https://arxiv.org/abs/2402.15638.

    .. math:: (G w)_i = w_i^{-1 / \alpha}

    The gains of the tasks are then an alpha-fair allocation. alpha = 1 is Nash-MTL, alpha = 0 the mean gradient; large
    alpha favors the task that gains least.

    Differs from the paper: damped Newton steps solve the equation as a convex problem, instead of bounded least
    squares. If the gradients are Pareto stationary, the weights are zero.

    Args:
        num_tasks: T.
        alpha: degree of fairness, >= 0; the paper tries 1, 2, 5 and 10.

    >>> import torch
    >>> FairGrad(2, alpha=1.0).weights(torch.ones(2), torch.diag(torch.tensor([4.0, 1.0])))
    tensor([0.5000, 1.0000])
    """

    paper = Paper(
        title="Fair Resource Allocation in Multi-Task Learning",
        authors=("Ban", "Ji"),
        venue="ICML",
        year=2024,
        arxiv="2402.15638",
    )
    space = Space(alpha=Uniform(0.5, 5.0))
    variants = ({}, {"alpha": 0.0})

    def __init__(self, num_tasks: int, *, alpha: float = 2.0) -> None:
        super().__init__(num_tasks)
        check_at_least(0, alpha=alpha)
        self.alpha = alpha

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return w with (G w)_i = w_i^(-1/alpha)."""
        if self.alpha == 0:
            return torch.full_like(gramian[0], 1 / len(gramian))
        return fair_weights(gramian, self.alpha)
