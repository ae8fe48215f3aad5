"""Alignments that fool an adversary behind a gradient reversal."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional import gradient_reversal, reversal_coefficient
from tlzoo.functional.checks import check_at_least
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.types import Context, Prediction

__all__ = ["Adversary"]


class Adversary(WeightedAlignment):
    r"""A game in one step: the adversary minimizes a loss, whose reversed gradient trains the features.

    The coefficient of the reversal grows with training progress p:

    .. math:: u \left( \frac{2}{1 + e^{-\gamma p}} - 1 \right)

    Args:
        num_features: D.
        num_classes: C.
        reversal: u, the largest coefficient.
        gamma: steepness of the schedule.
        weight: trade-off of the term.
    """

    def __init__(
        self, num_features: int, num_classes: int, *, reversal: float = 1.0, gamma: float = 10.0, weight: float = 1.0
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_at_least(0, reversal=reversal, gamma=gamma)
        self.reversal, self.gamma = reversal, gamma

    def coefficient(self, context: Context) -> float:
        """Return the coefficient of the reversal."""
        return self.reversal * reversal_coefficient(context.progress, gamma=self.gamma)

    def reversed_features(self, source: Prediction, target: Prediction, context: Context) -> Tensor:
        """Return the features (N + M, D) of source and target behind the reversal."""
        return gradient_reversal(torch.cat([source.features, target.features]), self.coefficient(context))
