"""BNM: the nuclear norm of target predictions is maximized."""

from __future__ import annotations

from tlzoo.functional import batch_nuclear_norm_loss
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["BNM"]


class BNM(Alignment):
    """Batch nuclear-norm maximization (Cui et al., CVPR 2020), https://arxiv.org/abs/2003.12237.

    loss = -weight * ||softmax(logits_t)||_* / M: predictions become certain and stay diverse.

    Args:
        num_features: D.
        num_classes: C.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Towards Discriminability and Diversity: "
        "Batch Nuclear-norm Maximization under Label Insufficient Situations",
        authors=("Cui", "Wang", "Zhuo", "Li", "Huang", "Tian"),
        venue="CVPR",
        year=2020,
        arxiv="2003.12237",
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
        """Return the weighted, negative nuclear norm of the softmax of ``target.logits`` (M, C)."""
        loss = batch_nuclear_norm_loss(target.logits)
        return {"loss": self.weight * loss, "nuclear_norm": -loss.detach()}
