"""Uncertainty weighting in closed form, normalized by a softmax."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_positive
from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper

__all__ = ["UncertaintySoftmax"]

_LEAST = 1e-8


class UncertaintySoftmax(Weighting):
    r"""Analytical uncertainty weighting (UW-SO; Kirchdorfer et al., 2024), https://arxiv.org/abs/2408.07985.

    .. math:: w = \mathrm{softmax}\left( \frac{1}{\tau L} \right)

    since the optimal weight of uncertainty weighting is :math:`1 / L`.

    Args:
        num_tasks: T.
        temperature: tau, > 0; the paper tunes it.

    >>> UncertaintySoftmax(2).weights(torch.tensor([1.0, 1.0]))
    tensor([0.5000, 0.5000])
    """

    label = "UW-SO"
    paper = Paper(
        title="Analytical Uncertainty-Based Loss Weighting in Multi-Task Learning",
        authors=("Kirchdorfer", "Elich", "Kutsche", "Stuckenschmidt", "Schott", "Köhler"),
        venue="GCPR",
        year=2024,
        arxiv="2408.07985",
    )

    def __init__(self, num_tasks: int, *, temperature: float = 1.0) -> None:
        super().__init__(num_tasks)
        check_positive(temperature=temperature)
        self.temperature = temperature

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the softmax of the inverse losses, among the tasks with labels."""
        scores = losses.detach().clamp_min(_LEAST).reciprocal() / self.temperature
        if self.present is not None:
            scores = scores.masked_fill(~self.present, -torch.inf)
        return scores.softmax(dim=0)
