"""Information maximization: make target predictions certain and diverse."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional import information_maximization
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["InformationMaximization"]


class InformationMaximization(Statistic):
    r"""Information-theoretical learning of clusters (Shi & Sha, ICML 2012), https://arxiv.org/abs/1206.6438.

    .. math:: w \left[ \frac{1}{M} \sum_j H(p_j^t) - H\left( \frac{1}{M} \sum_j p_j^t \right) \right]

    Differs from the paper: gradients train a network instead of a nearest-neighbor metric; the paper's domain
    discriminator is left out.

    Args:
        num_features: D.
        num_classes: C.
        weight: trade-off of the term.
    """

    label = "information maximization"
    paper = Paper(
        title="Information-Theoretical Learning of Discriminative Clusters for Unsupervised Domain Adaptation",
        authors=("Shi", "Sha"),
        venue="ICML",
        year=2012,
        arxiv="1206.6438",
    )
    logged = "negative_information"
    space = Space(weight=LogUniform(0.1, 10.0))

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the negative mutual information of inputs and predictions, from ``target.logits`` (M, C)."""
        return information_maximization(target.logits)
