"""HAFN: pull the features of both domains to the same mean norm."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional import fixed_norm_loss
from tlzoo.functional.checks import check_positive
from tlzoo.methods.adaptation.safn import SAFN
from tlzoo.methods.statistic import Statistic
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["HAFN"]


class HAFN(Statistic):
    r"""Hard adaptive feature norm (Xu et al., ICCV 2019), https://arxiv.org/abs/1811.07456.

    .. math::

        w \left[ \left( \tfrac{1}{N} \sum_i \lVert f_i^s \rVert - R \right)^2
        + \left( \tfrac{1}{M} \sum_j \lVert f_j^t \rVert - R \right)^2 \right]

    Args:
        num_features: D.
        num_classes: C.
        norm: R, the norm that both are pulled to.
        weight: trade-off of the term.
    """

    for_regression = True
    paper = SAFN.paper
    space = Space(weight=LogUniform(0.005, 0.5), norm=LogUniform(5.0, 50.0))

    def __init__(self, num_features: int, num_classes: int, *, norm: float = 25.0, weight: float = 0.05) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_positive(norm=norm)
        self.norm = norm

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the sum of the squared differences between ``norm`` and the mean norms of (N, D) and (M, D)."""
        return fixed_norm_loss(source.features, norm=self.norm) + fixed_norm_loss(target.features, norm=self.norm)
