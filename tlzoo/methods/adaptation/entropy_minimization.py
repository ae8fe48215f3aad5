"""Entropy minimization: predictions on the target become certain."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional import entropy
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["EntropyMinimization"]


class EntropyMinimization(Statistic):
    r"""Entropy minimization (Grandvalet & Bengio, NIPS 2004), https://papers.nips.cc/paper/2740-semi-supervised-learning-by-entropy-minimization.

    .. math:: \frac{w}{M} \sum_j H(p_j^t)

    It rewards a collapse to one class; compare ``information_maximization``.

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
    logged = "entropy"
    space = Space(weight=LogUniform(0.01, 1.0))

    def __init__(self, num_features: int, num_classes: int, *, weight: float = 0.1) -> None:
        super().__init__(num_features, num_classes, weight=weight)

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the mean entropy of ``target.logits`` (M, C)."""
        return entropy(target.logits).mean()
