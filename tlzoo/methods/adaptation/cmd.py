"""CMD: align the means and central moments of bounded features."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tlzoo.functional import central_moment_discrepancy
from tlzoo.functional.checks import check_choice, check_counts
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["CMD"]

_ACTIVATIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}
_SPANS = {"sigmoid": 1.0, "tanh": 2.0}


class CMD(Statistic):
    r"""Central moment discrepancy (Zellinger et al., ICLR 2017), https://arxiv.org/abs/1702.08811.

    .. math:: w \, \mathrm{CMD}_K\left(a(f_s), a(f_t)\right)

    See :func:`tlzoo.functional.central_moment_discrepancy`. The activation a bounds the features, like the activations
    in the paper.

    Args:
        num_features: D.
        num_classes: C.
        moments: K.
        activation: bounds the features; its interval determines the factors of the moments.
        weight: trade-off of the term.
    """

    for_regression = True
    paper = Paper(
        title="Central Moment Discrepancy (CMD) for Domain-Invariant Representation Learning",
        authors=("Zellinger", "Grubinger", "Lughofer", "Natschläger", "Saminger-Platz"),
        venue="ICLR",
        year=2017,
        arxiv="1702.08811",
    )
    logged = "cmd"
    space = Space(weight=LogUniform(0.1, 10.0))
    variants = ({}, {"activation": "sigmoid"}, {"moments": 2})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        moments: int = 5,
        activation: Literal["sigmoid", "tanh"] = "tanh",
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_choice(activation, _SPANS, what="activation")
        check_counts(moments=moments)
        self.moments, self.activation = moments, activation

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the discrepancy of features (N, D) and (M, D)."""
        bounded = [_ACTIVATIONS[self.activation](side.features) for side in (source, target)]
        return central_moment_discrepancy(*bounded, moments=self.moments, span=_SPANS[self.activation])
