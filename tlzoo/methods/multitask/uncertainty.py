"""Uncertainty weighting: learn the noise of each task along with its loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.functional.checks import check_positive
from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper

__all__ = ["Uncertainty"]


class Uncertainty(Weighting):
    r"""Homoscedastic uncertainty (Kendall, Gal & Cipolla, CVPR 2018), https://arxiv.org/abs/1705.07115.

    .. math:: \sum_t \frac{1}{2} e^{-s_t} L_t + \frac{1}{2} s_t

    with the learned log-variance s; at the optimum :math:`s = \log L`.

    Differs from the paper: classification losses also have the factor 1/2, as in common code; ``factor=1.0`` gives the
    paper's 1.

    Args:
        num_tasks: T.
        initial: initial value of every log-variance.
        factor: factor of exp(-s) L.

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
        """Return the sum of factor * exp(-s) L + s / 2, which trains s; the losses (T,) are constant."""
        terms = self.factor * (-self.log_variances).exp() * losses.detach() + 0.5 * self.log_variances
        return self.those_present(terms).sum()
