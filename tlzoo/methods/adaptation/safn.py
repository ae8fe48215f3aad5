"""SAFN: enlarge the feature norms of both domains step by step."""

from __future__ import annotations

import torch

from tlzoo.functional import stepwise_norm_loss
from tlzoo.functional.checks import check_positive
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["SAFN"]


class SAFN(WeightedAlignment):
    r"""Stepwise adaptive feature norm (Xu et al., ICCV 2019), https://arxiv.org/abs/1811.07456.

    .. math::

        w \left[ L(f_s) + L(f_t) \right], \qquad
        L(f) = \frac{1}{B} \sum_i \left( \lVert f_i \rVert - \mathrm{sg}(\lVert f_i \rVert + r) \right)^2

    sg stops the gradient.

    Args:
        num_features: D.
        num_classes: C.
        step: r, the amount by which each norm is pulled up.
        weight: trade-off of the term.
    """

    for_regression = True
    paper = Paper(
        title="Larger Norm More Transferable: An Adaptive Feature Norm Approach for Unsupervised Domain Adaptation",
        authors=("Xu", "Li", "Yang", "Lin"),
        venue="ICCV",
        year=2019,
        arxiv="1811.07456",
    )
    space = Space(weight=LogUniform(0.005, 0.5))

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        step: float = 1.0,
        weight: float = 0.05,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_positive(step=step)
        self.step = step

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted loss of features (N, D) and (M, D)."""
        ours, theirs = (stepwise_norm_loss(side.features, step=self.step) for side in (source, target))
        norm = torch.linalg.vector_norm(target.features.detach(), dim=1).mean()
        return {"loss": self.weight * (ours + theirs), "target_norm": norm}
