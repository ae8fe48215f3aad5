"""MCC: minimize the confusion between classes on the target."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional import minimum_class_confusion
from tlzoo.functional.checks import check_positive
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space, Uniform
from tlzoo.types import Prediction

__all__ = ["MCC"]


class MCC(Statistic):
    r"""Minimum class confusion (Jin et al., ECCV 2020), https://arxiv.org/abs/1912.03699.

    .. math:: w \, \mathrm{MCC}(\text{logits}_t)

    See :func:`tlzoo.functional.minimum_class_confusion`. The source enters only through the supervised loss.

    Args:
        num_features: D.
        num_classes: C.
        temperature: temperature of the softmax.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Minimum Class Confusion for Versatile Domain Adaptation",
        authors=("Jin", "Wang", "Long", "Wang"),
        venue="ECCV",
        year=2020,
        arxiv="1912.03699",
    )
    logged = "confusion"
    space = Space(weight=LogUniform(0.1, 10.0), temperature=Uniform(1.0, 5.0))
    variants = ({}, {"temperature": 1.0})

    def __init__(self, num_features: int, num_classes: int, *, temperature: float = 2.5, weight: float = 1.0) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_positive(temperature=temperature)
        self.temperature = temperature

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the confusion of ``target.logits`` (M, C)."""
        return minimum_class_confusion(target.logits, temperature=self.temperature)
