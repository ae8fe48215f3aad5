"""DARE-GRAM: align the inverse Gram matrices of two batches, which are what a least-squares regression uses."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional.checks import check_at_least
from tlzoo.functional.regression import inverse_gram_distance
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["DAREGRAM"]


class DAREGRAM(Statistic):
    r"""Inverse Gram matrices (Nejjar et al., CVPR 2023), https://arxiv.org/abs/2303.13325.

    .. math::

        w \left( a \frac{1}{D + 1} \sum_j \left| 1 - \cos(G_s^{+ j}, G_t^{+ j}) \right|
        + b \frac{1}{k} \lVert \lambda_s^{1..k} - \lambda_t^{1..k} \rVert \right)

    The closed form of a linear regression multiplies by the inverse of the Gram matrix of the features; its columns are
    aligned in angle, and the largest eigenvalues in scale. See :func:`tlzoo.functional.inverse_gram_distance`.

    Differs from the paper: targets are standardized where the paper scales them to [0, 1], so the squared error is
    about ten times as large.

    Args:
        num_features: D.
        num_classes: C; in a regression T.
        threshold: share of the eigenvalues that decides k.
        angle_weight: a.
        scale_weight: b.
        weight: trade-off of the term.

    >>> import torch
    >>> source = Prediction(features=torch.eye(3), logits=torch.zeros(3, 1))
    >>> round(DAREGRAM(num_features=3, num_classes=1)(source, source)["loss"].item(), 6)
    0.0
    """

    label = "DARE-GRAM"
    for_regression = True
    paper = Paper(
        title="DARE-GRAM: Unsupervised Domain Adaptation Regression by Aligning Inverse Gram Matrices",
        authors=("Nejjar", "Wang", "Fink"),
        venue="CVPR",
        year=2023,
        arxiv="2303.13325",
    )
    logged = "inverse_gram_distance"
    space = Space(weight=LogUniform(0.1, 100.0))
    variants = ({}, {"threshold": 0.5, "angle_weight": 1.0, "scale_weight": 0.0})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        threshold: float = 0.9,
        angle_weight: float = 0.05,
        scale_weight: float = 0.001,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_at_least(0, angle_weight=angle_weight, scale_weight=scale_weight)
        if not 0 < threshold < 1:
            raise ValueError(f"threshold {threshold}; expected a share between 0 and 1")
        self.threshold, self.angle_weight, self.scale_weight = threshold, angle_weight, scale_weight

    @property
    def transformable(self) -> bool:
        """The rank depends on the values."""
        return False

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the distance of the inverse Gram matrices of source (N, D) and target (M, D) features."""
        return inverse_gram_distance(
            source.features,
            target.features,
            threshold=self.threshold,
            angle_weight=self.angle_weight,
            scale_weight=self.scale_weight,
        )
