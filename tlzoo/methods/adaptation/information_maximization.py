"""Information maximization: predictions on the target are certain and diverse."""

from __future__ import annotations

from tlzoo.functional import information_maximization
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["InformationMaximization"]


class InformationMaximization(Alignment):
    """Information-theoretical learning of clusters (Shi & Sha, ICML 2012), https://arxiv.org/abs/1206.6438.

    loss = weight * (mean H(p_t) - H(mean p_t)).

    Differs from the paper: a network trained by gradient instead of a nearest-neighbor metric; its discriminator of
    domains is left out.

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
    space = Space(weight=LogUniform(0.1, 10.0))

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        weight: float = 1.0,
    ) -> None:
        super().__init__(num_features, num_classes)
        self.weight = weight

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted, negative mutual information of ``target.logits`` (M, C)."""
        loss = information_maximization(target.logits)
        return {"loss": self.weight * loss, "information": -loss.detach()}
