"""Deep CORAL: align the covariances of source and target features."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from tlzoo.functional import coral_loss
from tlzoo.functional.checks import check_choice
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["DeepCORAL"]


class DeepCORAL(Statistic):
    r"""Correlation alignment in a deep network (Sun & Saenko, ECCV Workshops 2016), https://arxiv.org/abs/1607.01719.

    .. math:: \frac{w}{4 D^2} \lVert C_s - C_t \rVert_F^2

    Differs from the paper: the paper aligns the scores of the last layer (``on="logits"``); common code, and the
    default here, aligns the features below.

    Args:
        num_features: D.
        num_classes: C.
        normalization: ``"paper"`` or ``"domainbed"``, see :func:`tlzoo.functional.coral_loss`.
        on: the layer to align.
        weight: trade-off of the term.

    >>> import torch
    >>> source = Prediction(features=torch.tensor([[0.0], [2.0]]), logits=torch.zeros(2, 3))
    >>> target = Prediction(features=torch.tensor([[5.0], [7.0]]), logits=torch.zeros(2, 3))
    >>> DeepCORAL(num_features=1, num_classes=3)(source, target)["loss"].item()  # only the means differ
    0.0
    """

    label = "Deep CORAL"
    for_regression = True
    paper = Paper(
        title="Deep CORAL: Correlation Alignment for Deep Domain Adaptation",
        authors=("Sun", "Saenko"),
        venue="ECCV Workshops",
        year=2016,
        arxiv="1607.01719",
    )
    logged = "coral"
    space = Space(weight=LogUniform(0.1, 100.0))
    variants = ({}, {"normalization": "domainbed"}, {"on": "logits"})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        normalization: Literal["paper", "domainbed"] = "paper",
        on: Literal["features", "logits"] = "features",
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_choice(normalization, ("paper", "domainbed"), what="normalization")
        check_choice(on, ("features", "logits"), what="layer")
        self.normalization, self.on = normalization, on

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the distance of the covariances of source (N, D) and target (M, D) features, or of their logits.

        Raises:
            ValueError: a side has a single point and so no covariance.
        """
        ours, theirs = (source.features, target.features) if self.on == "features" else (source.logits, target.logits)
        return coral_loss(ours, theirs, normalization=self.normalization)
