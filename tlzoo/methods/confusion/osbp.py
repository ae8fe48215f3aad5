"""OSBP: features make the target clearly known or unknown to a classifier that stays undecided."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from tlzoo.functional import gradient_reversal
from tlzoo.functional.predictions import log_complement
from tlzoo.methods.adversary import Adversary
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Prediction

__all__ = ["OSBP"]


class OSBP(Adversary):
    r"""Open set domain adaptation by backpropagation (Saito et al., ECCV 2018), https://arxiv.org/abs/1804.10427.

    The last of the C classes is "unknown" and has no source example. On the target,

    .. math:: -\frac{w}{M} \sum_j t \log p_{jC} + (1 - t) \log(1 - p_{jC})

    pulls the classifier to :math:`p_C = t` and, behind a gradient reversal, the features away from it.

    Differs from the paper: the coefficient of the reversal grows with training progress instead of staying at 1.

    Args:
        num_features: D.
        num_classes: C, including "unknown".
        boundary: t.
        gamma: steepness of the schedule of the reversal.
        weight: trade-off of the term.
    """

    paper = Paper(
        title="Open Set Domain Adaptation by Backpropagation",
        authors=("Saito", "Yamamoto", "Ushiku", "Harada"),
        venue="ECCV",
        year=2018,
        arxiv="1804.10427",
    )

    def __init__(
        self, num_features: int, num_classes: int, *, boundary: float = 0.5, gamma: float = 10.0, weight: float = 1.0
    ) -> None:
        super().__init__(num_features, num_classes, gamma=gamma, weight=weight)
        if not 0 < boundary < 1:
            raise ValueError(f"boundary {boundary}; expected a probability between 0 and 1")
        self.boundary = boundary
        self.head = nn.Linear(num_features, num_classes)

    def make_head(self) -> nn.Module:
        """Return the head, which is also part of the method."""
        return self.head

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted loss of target features (M, D).

        Raises:
            ValueError: there are fewer than two classes.
        """
        logits = self.head(gradient_reversal(target.features, self.coefficient(context)))
        log_unknown = F.log_softmax(logits, dim=1)[:, -1]
        log_known = log_complement(logits, target.logits.new_full((len(target),), logits.shape[1] - 1).long())
        loss = -(self.boundary * log_unknown + (1 - self.boundary) * log_known).mean()
        return {"loss": self.weight * loss, "unknown": log_unknown.detach().exp().mean()}
