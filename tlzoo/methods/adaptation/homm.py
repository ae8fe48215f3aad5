"""HoMM: align higher-order moments of the features."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional import higher_order_moment_loss
from tlzoo.functional.checks import check_counts
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["HoMM"]


class HoMM(Statistic):
    r"""Higher-order moment matching (Chen et al., AAAI 2020), https://arxiv.org/abs/1912.11976.

    .. math::

        \frac{w}{D^p} \left\lVert \frac{1}{N} \sum_i (f_i^s)^{\otimes p}
        - \frac{1}{M} \sum_j (f_j^t)^{\otimes p} \right\rVert_F^2

    Differs from the paper: inner products compare the moment tensors exactly, while the paper samples entries or splits
    features into groups. Features are centered, as in the authors' code. The paper's discriminative clustering is left
    out.

    Args:
        num_features: D.
        num_classes: C.
        order: p.
        center: subtract the mean of each side first.
        weight: trade-off of the term; the right value depends on the scale of the features.
    """

    for_regression = True
    paper = Paper(
        title="HoMM: Higher-order Moment Matching for Unsupervised Domain Adaptation",
        authors=("Chen", "Fu", "Chen", "Jin", "Cheng", "Jin", "Hua"),
        venue="AAAI",
        year=2020,
        arxiv="1912.11976",
    )
    logged = "moments"
    space = Space(weight=LogUniform(0.1, 10.0))
    variants = ({}, {"order": 2}, {"center": False})

    def __init__(
        self, num_features: int, num_classes: int, *, order: int = 3, center: bool = True, weight: float = 1.0
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_counts(order=order)
        self.order, self.center = order, center

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the distance between the moments of features (N, D) and (M, D)."""
        return higher_order_moment_loss(source.features, target.features, order=self.order, center=self.center)
