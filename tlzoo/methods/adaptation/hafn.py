"""HAFN: features of both domains are pulled to one mean length."""

from __future__ import annotations

from tlzoo.functional import fixed_norm_loss
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["HAFN"]


class HAFN(Alignment):
    """Hard adaptive feature norm (Xu et al., ICCV 2019), https://arxiv.org/abs/1811.07456.

    loss = weight * ((mean ||f_s|| - norm)^2 + (mean ||f_t|| - norm)^2).

    Args:
        num_features: D.
        num_classes: C.
        norm: the length that both are pulled to.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Larger Norm More Transferable: An Adaptive Feature Norm Approach for Unsupervised Domain Adaptation",
        authors=("Xu", "Li", "Yang", "Lin"),
        venue="ICCV",
        year=2019,
        arxiv="1811.07456",
    )
    space = Space(weight=LogUniform(0.005, 0.5), norm=LogUniform(5.0, 50.0))

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        norm: float = 25.0,
        weight: float = 0.05,
    ) -> None:
        super().__init__(num_features, num_classes)
        self.norm, self.weight = norm, weight

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted loss of features (N, D) and (M, D)."""
        ours, theirs = (fixed_norm_loss(side.features, norm=self.norm) for side in (source, target))
        return {"loss": self.weight * (ours + theirs)}
