"""Uncertainty weighting: each task's noise is learned beside its loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.functional.checks import check_positive
from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper

__all__ = ["Uncertainty"]


class Uncertainty(Weighting):
    """Homoscedastic uncertainty (Kendall, Gal & Cipolla, CVPR 2018), https://arxiv.org/abs/1705.07115.

    total = sum over tasks of exp(-s) L / 2 + s / 2 with the log-variance s learned; at the optimum s = ln L.

    Differs from the paper: classification losses carry the factor 1/2 too, as in common code; the paper's 1 is had with
    ``factor=1.0``.

    Args:
        num_tasks: T.
        initial: where every log-variance starts.
        factor: of exp(-s) L.

    >>> Uncertainty(2)(torch.tensor([2.0, 4.0])).item()  # s = 0: the objective and the weighted sum, each 3
    6.0
    """

    label = "uncertainty weighting"
    paper = Paper(
        title="Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics",
        authors=("Kendall", "Gal", "Cipolla"),
        venue="CVPR",
        year=2018,
        arxiv="1705.07115",
    )

    def __init__(self, num_tasks: int, *, initial: float = 0.0, factor: float = 0.5) -> None:
        super().__init__(num_tasks)
        check_positive(factor=factor)
        self.factor = factor
        self.log_variances = nn.Parameter(torch.full((num_tasks,), initial))

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return factor * exp(-s), detached."""
        return self.factor * (-self.log_variances).exp().detach()

    def own_loss(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the sum of factor * exp(-s) L + s / 2, which trains s; losses (T,) are constants in it."""
        terms = self.factor * (-self.log_variances).exp() * losses.detach() + 0.5 * self.log_variances
        return self.those_present(terms).sum()
