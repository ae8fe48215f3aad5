"""MDD: an adversarial classifier disagrees on the target and agrees on the source."""

from __future__ import annotations

import torch
from torch import nn

from tlzoo.functional import gradient_reversal, margin_disparity, reversal_coefficient
from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import Choice, LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["MDD"]


class MDD(Alignment):
    """Margin disparity discrepancy (Zhang et al., ICML 2019), https://arxiv.org/abs/1904.05801.

    loss = -weight * MDD, see :func:`tlzoo.functional.margin_disparity`; the adversary is a second classifier behind a
    gradient reversal, whose coefficient grows to ``reversal`` with training progress.

    Differs from the paper: no dropout in the adversary, which draws no random numbers so.

    Args:
        num_features: D.
        num_classes: C.
        margin: gamma, the log of the margin.
        hidden: width of the adversary.
        reversal: largest coefficient of the reversal, as in the authors' code.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Bridging Theory and Algorithm for Domain Adaptation",
        authors=("Zhang", "Liu", "Long", "Jordan"),
        venue="ICML",
        year=2019,
        arxiv="1904.05801",
    )
    space = Space(weight=LogUniform(0.1, 10.0), margin=Choice((1.0, 2.0, 3.0, 4.0)))

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        margin: float = 4.0,
        hidden: int = 1024,
        reversal: float = 0.1,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes)
        check_counts(hidden=hidden)
        check_at_least(0, margin=margin, reversal=reversal, weight=weight)
        self.margin, self.reversal, self.weight = margin, reversal, weight
        self.adversary = nn.Sequential(
            nn.Linear(num_features, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, num_classes),
        )

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted, negative disparity on source (N, D), (N, C) and target (M, D), (M, C).

        Raises:
            ValueError: fewer than two classes.
        """
        coefficient = self.reversal * reversal_coefficient(context.progress)
        features = torch.cat([source.features, target.features])
        answers = self.adversary(gradient_reversal(features, coefficient))
        n = len(source)
        disparity = margin_disparity(source.logits, answers[:n], target.logits, answers[n:], margin=self.margin)
        return {"loss": -self.weight * disparity, "disparity": disparity.detach()}
