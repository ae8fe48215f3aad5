"""Entropy minimization: predictions on the target become certain."""

from __future__ import annotations

from tlzoo.functional import entropy
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["EntropyMinimization"]


class EntropyMinimization(Alignment):
    """Entropy minimization (Grandvalet & Bengio, NIPS 2004), https://papers.nips.cc/paper/2740-semi-supervised-learning-by-entropy-minimization.

    loss = weight * mean H(softmax(logits_t)). It rewards a collapse to one class; compare ``information_maximization``.

    Args:
        num_features: D.
        num_classes: C.
        weight: trade-off of the term.
    """

    label = "entropy minimization"
    paper = Paper(
        title="Semi-supervised Learning by Entropy Minimization",
        authors=("Grandvalet", "Bengio"),
        venue="NIPS",
        year=2004,
        page="https://papers.nips.cc/paper/2740-semi-supervised-learning-by-entropy-minimization",
    )
    space = Space(weight=LogUniform(0.01, 1.0))

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        weight: float = 0.1,
    ) -> None:
        super().__init__(num_features, num_classes)
        self.weight = weight

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted mean entropy of ``target.logits`` (M, C)."""
        uncertainty = entropy(target.logits).mean()
        return {"loss": self.weight * uncertainty, "entropy": uncertainty.detach()}
