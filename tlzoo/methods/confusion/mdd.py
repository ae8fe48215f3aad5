"""MDD: an adversarial classifier that agrees on the source and disagrees on the target."""

from __future__ import annotations

from typing import Literal

from torch import nn

from tlzoo.functional import margin_disparity
from tlzoo.functional.checks import check_at_least, check_choice, check_counts
from tlzoo.methods.adversary import Adversary
from tlzoo.nn.dropout import StreamDropout
from tlzoo.paper import Paper
from tlzoo.space import Choice, LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["MDD"]


class MDD(Adversary):
    """Margin disparity discrepancy (Zhang et al., ICML 2019), https://arxiv.org/abs/1904.05801.

    loss = -weight * MDD, see :func:`tlzoo.functional.margin_disparity`; the adversary is a second classifier behind a
    gradient reversal, whose coefficient grows to ``reversal`` with training progress.

    Differs from the paper: the classifier is the network's head, where the paper has two layers, as the adversary does.

    Args:
        num_features: D.
        num_classes: C.
        margin: the log of the margin (the paper's gamma).
        adversary: its hidden layer: ``"paper"``: linear, ReLU, dropout of one half, small initial weights, as in the
            authors' code; ``"batch_norm"``: linear, batch normalization, ReLU.
        hidden: width of the adversary.
        reversal: largest coefficient of the reversal, as in the authors' code.
        gamma: steepness of its schedule; the authors' 100 brings the coefficient near its largest soon.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Bridging Theory and Algorithm for Domain Adaptation",
        authors=("Zhang", "Liu", "Long", "Jordan"),
        venue="ICML",
        year=2019,
        arxiv="1904.05801",
    )
    revision = 2
    variants = ({}, {"adversary": "batch_norm"})
    space = Space(weight=LogUniform(0.1, 10.0), margin=Choice((1.0, 2.0, 3.0, 4.0)))

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        margin: float = 4.0,
        adversary: Literal["paper", "batch_norm"] = "paper",
        hidden: int = 1024,
        reversal: float = 0.1,
        gamma: float = 100.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes, reversal=reversal, gamma=gamma, weight=weight)
        check_counts(hidden=hidden)
        check_at_least(0, margin=margin)
        check_choice(adversary, ("paper", "batch_norm"), what="adversary")
        self.margin, self.drops = margin, adversary == "paper"
        first, last = nn.Linear(num_features, hidden), nn.Linear(hidden, num_classes)
        if self.drops:
            for layer in (first, last):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)
            self.adversary = nn.Sequential(first, nn.ReLU(), StreamDropout(0.5), last)
        else:
            self.adversary = nn.Sequential(first, nn.BatchNorm1d(hidden), nn.ReLU(), last)

    @property
    def order_matters(self) -> bool:
        """Dropout draws for each place of the batch."""
        return self.drops

    @property
    def transformable(self) -> bool:
        """Whether it draws no random numbers."""
        return not self.drops

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted, negative disparity on source (N, D), (N, C) and target (M, D), (M, C).

        Raises:
            ValueError: there are fewer than two classes.
        """
        answers, n = self.adversary(self.reversed_features(source, target, context)), len(source)
        disparity = margin_disparity(source.logits, answers[:n], target.logits, answers[n:], margin=self.margin)
        return {"loss": -self.weight * disparity, "disparity": disparity.detach()}
