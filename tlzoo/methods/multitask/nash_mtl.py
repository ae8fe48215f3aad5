"""Nash-MTL: gradients that bargain."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional.gramians import fair_weights
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.paper import Paper

__all__ = ["NashMTL"]


class NashMTL(GramianWeighting):
    """Nash bargaining over the direction (Navon et al., ICML 2022), https://arxiv.org/abs/2202.01017.

    w solves w_i (G w)_i = 1: the direction that maximizes the product of the tasks' gains. It does not depend on the
    scale of any loss. Where the gradients are Pareto stationary there is no such w, and the weights are zero.

    Differs from the paper: the convex problem min w^T G w / 2 - sum of ln w is solved by damped Newton steps where the
    paper runs a sequence of convex programs; the direction is not clipped (the trainer clips gradients), and w is
    solved for at every step.

    Args:
        num_tasks: T.

    >>> import torch
    >>> NashMTL(2).weights(torch.ones(2), torch.diag(torch.tensor([4.0, 1.0])))
    tensor([0.5000, 1.0000])
    """

    label = "Nash-MTL"
    paper = Paper(
        title="Multi-Task Learning as a Bargaining Game",
        authors=("Navon", "Shamsian", "Achituve", "Maron", "Kawaguchi", "Chechik", "Fetaya"),
        venue="ICML",
        year=2022,
        arxiv="2202.01017",
    )

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return w with w_i (G w)_i = 1."""
        return fair_weights(gramian)
