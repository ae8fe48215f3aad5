"""MGDA: the shortest convex combination of task gradients."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tlzoo.functional.checks import check_choice
from tlzoo.functional.gramians import min_norm_weights
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.paper import Paper

__all__ = ["MGDA"]


class MGDA(GramianWeighting):
    r"""Multiple-gradient descent (Sener & Koltun, NeurIPS 2018; Désidéri 2012), https://arxiv.org/abs/1810.04650.

    .. math:: \min_w \lVert J^\top w \rVert^2 \quad \text{with} \quad w \ge 0, \; \sum_t w_t = 1

    For the direction :math:`d = J^\top w`, every task gains :math:`\langle d, g_i \rangle \ge \lVert d \rVert^2`, with
    equality if its weight is positive.

    Differs from the paper: the problem is solved exactly instead of by Frank-Wolfe steps. Gradients are those of the
    shared parameters; for the paper's upper bound (MGDA-UB), set ``space="features"`` of :class:`tlzoo.lit.Multitask`.
    Heads follow their own losses, as in the paper's algorithm; the authors' code weights them as well. That code
    normalizes gradients to find w, then weights the original ones, which can harm a task: ``applied_to="raw"``.

    Args:
        num_tasks: T.
        normalization: what gradients are divided by first: ``"none"``; ``"l2"``: their length; ``"loss"``: the loss;
            ``"loss+"``: both.
        applied_to: what w weights: the ``"normalized"`` gradients, or the ``"raw"`` ones as in the authors' code.

    >>> import torch
    >>> MGDA(2).weights(torch.ones(2), torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
    tensor([0.7500, 0.2500])
    """

    paper = Paper(
        title="Multi-Task Learning as Multi-Objective Optimization",
        authors=("Sener", "Koltun"),
        venue="NeurIPS",
        year=2018,
        arxiv="1810.04650",
    )
    variants = ({}, {"normalization": "l2"}, {"normalization": "loss+", "applied_to": "raw"})

    def __init__(
        self,
        num_tasks: int,
        *,
        normalization: Literal["none", "l2", "loss", "loss+"] = "none",
        applied_to: Literal["normalized", "raw"] = "normalized",
    ) -> None:
        super().__init__(num_tasks)
        check_choice(normalization, ("none", "l2", "loss", "loss+"), what="normalization")
        check_choice(applied_to, ("normalized", "raw"), what="applied_to")
        self.normalization, self.applied_to = normalization, applied_to

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the weights (T,) of the original gradients; the simplex is one of normalized gradients."""
        if gramian is None or self.normalization == "none":
            return super().weigh(losses, gramian)
        divisors = torch.ones_like(losses)
        if self.normalization != "l2":
            divisors = divisors * losses.detach().abs()
        if self.normalization != "loss":
            divisors = divisors * gramian.diagonal().clamp_min(0).sqrt()
        factors = divisors.reciprocal().where(divisors > 0, torch.ones_like(divisors))
        weights = super().weigh(losses, gramian * factors * factors[:, None])
        return weights if self.applied_to == "raw" else weights * factors

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return the convex weights of the shortest combination."""
        return min_norm_weights(gramian)
