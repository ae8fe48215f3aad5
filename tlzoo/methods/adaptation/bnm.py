"""BNM: maximize the nuclear norm of the target predictions."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional import batch_nuclear_norm_loss
from tlzoo.methods.statistic import Statistic
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Prediction

__all__ = ["BNM"]


class BNM(Statistic):
    r"""Batch nuclear-norm maximization (Cui et al., CVPR 2020), https://arxiv.org/abs/2003.12237.

    Predictions become certain and stay diverse:

    .. math:: -\frac{w}{M} \lVert \mathrm{softmax}(\text{logits}_t) \rVert_*

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
    logged = "bnm"
    space = Space(weight=LogUniform(0.1, 10.0))

    def statistic(self, source: Prediction, target: Prediction) -> Tensor:
        """Return the negative nuclear norm of the softmax of ``target.logits`` (M, C), divided by M."""
        return batch_nuclear_norm_loss(target.logits)
