"""HAFN: features of both domains are pulled to one mean length."""

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
    """Hard adaptive feature norm (Xu et al., ICCV 2019), https://arxiv.org/abs/1811.07456.

    loss = weight * ((mean ||f_s|| - norm)^2 + (mean ||f_t|| - norm)^2).

    Args:
        num_features: D.
        num_classes: C.
        norm: the length that both are pulled to.
        weight: trade-off of the term.
    """

    paper = SAFN.paper
    space = Space(weight=LogUniform(0.005, 0.5), norm=LogUniform(5.0, 50.0))

    def __init__(self, num_features: int, num_classes: int, *, norm: float = 25.0, weight: float = 0.05) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_positive(norm=norm)
        self.norm = norm

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return how far the mean norms of features (N, D) and (M, D) are from ``norm``, squared and summed."""
        return fixed_norm_loss(source.features, norm=self.norm) + fixed_norm_loss(target.features, norm=self.norm)
