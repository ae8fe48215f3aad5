"""HoMM: higher-order moments of features are aligned."""

from __future__ import annotations

from tlzoo.functional import higher_order_moment_loss
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["HoMM"]


class HoMM(Alignment):
    """Higher-order moment matching (Chen et al., AAAI 2020), https://arxiv.org/abs/1912.11976.

    loss = weight * ||mean f_s^(x order) - mean f_t^(x order)||_F^2 / D^order.

    Differs from the paper: the moment tensors are compared exactly, by inner products, where the paper samples
    entries or splits features into groups; features are centered, as in the authors' code. The paper's discriminative
    clustering is left out.

    Args:
        num_features: D.
        num_classes: C.
        order: p.
        center: take the mean off each side first.
        weight: trade-off of the term; the right size depends on that of the features.
    """

    paper = Paper(
        title="HoMM: Higher-order Moment Matching for Unsupervised Domain Adaptation",
        authors=("Chen", "Fu", "Chen", "Jin", "Cheng", "Jin", "Hua"),
        venue="AAAI",
        year=2020,
        arxiv="1912.11976",
    )
    space = Space(weight=LogUniform(0.1, 10.0))
    variants = ({}, {"order": 2}, {"center": False})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        order: int = 3,
        center: bool = True,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes)
        self.order, self.center, self.weight = order, center, weight
        if order < 1:
            raise ValueError(f"order {order}; expected at least 1")

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted distance of features (N, D) and (M, D)."""
        distance = higher_order_moment_loss(source.features, target.features, order=self.order, center=self.center)
        return {"loss": self.weight * distance, "moments": distance.detach()}
