"""DALN: the classifier is its own discriminator, by the nuclear norm of its predictions."""

from __future__ import annotations

from torch import nn

from tlzoo.functional import batch_nuclear_norm_loss
from tlzoo.methods.adversary import Adversary
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Prediction

__all__ = ["DALN"]


class DALN(Adversary):
    r"""Discriminator-free adversarial learning network (Chen et al., CVPR 2022), https://arxiv.org/abs/2203.14362.

    .. math:: -w \left( \frac{\lVert P_s \rVert_*}{N} - \frac{\lVert P_t \rVert_*}{M} \right)

    with the predictions P of the head behind a gradient reversal: the head makes the nuclear norms of source and target
    differ, the features make them equal.

    Differs from the paper: the coefficient of the reversal follows training progress with a steepness of ``gamma``; in
    the authors' code it follows the number of steps, over 1,000 of them.

    Args:
        num_features: D.
        num_classes: C.
        gamma: steepness of the schedule of the reversal.
        weight: w.
    """

    paper = Paper(
        title="Reusing the Task-specific Classifier as a Discriminator: Discriminator-free Adversarial Domain "
        "Adaptation",
        authors=("Chen", "Chen", "Wei", "Jin", "Tan", "Jin", "Chen"),
        venue="CVPR",
        year=2022,
        arxiv="2203.14362",
    )

    def __init__(self, num_features: int, num_classes: int, *, gamma: float = 10.0, weight: float = 1.0) -> None:
        super().__init__(num_features, num_classes, gamma=gamma, weight=weight)
        self.head = nn.Linear(num_features, num_classes)

    def make_head(self) -> nn.Module:
        """Return the head, which is also part of the method."""
        return self.head

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted, negative discrepancy of features (N, D) and (M, D)."""
        logits, n = self.head(self.reversed_features(source, target, context)), len(source)
        discrepancy = batch_nuclear_norm_loss(logits[n:]) - batch_nuclear_norm_loss(logits[:n])
        return {"loss": -self.weight * discrepancy, "discrepancy": discrepancy.detach()}
