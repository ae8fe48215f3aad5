"""Pseudo-labels: learn the network's own confident predictions on the target."""

from __future__ import annotations

from torch.nn import functional as F

from tlzoo.functional.checks import check_shares
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Prediction

__all__ = ["PseudoLabel"]


class PseudoLabel(WeightedAlignment):
    """Pseudo-label (Lee, ICML Workshops 2013), https://dblp.org/rec/conf/icml/Lee13.

    loss = weight * alpha(p) * mean CE(logits_t, argmax logits_t), over all target examples of the batch, those below
    ``threshold`` counting 0. alpha rises from 0 to 1 between two points of training progress p; ``weight`` is the
    paper's alpha_f, 3.

    Differs from the paper: steps are given as shares of training, and a threshold may be set, as is usual since.

    Args:
        num_features: D.
        num_classes: C.
        threshold: tau, smallest probability of a prediction to learn; the paper has none.
        begin: progress up to which alpha is 0.
        end: progress from which alpha is 1.
        weight: trade-off of the term, once alpha is 1.
    """

    label = "pseudo-labels"
    paper = Paper(
        title="Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks",
        authors=("Lee",),
        venue="ICML Workshops",
        year=2013,
        page="https://dblp.org/rec/conf/icml/Lee13",
    )
    revision = 2
    variants = ({}, {"threshold": 0.4})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        threshold: float = 0.0,
        begin: float = 0.1,
        end: float = 0.6,
        weight: float = 3.0,
    ) -> None:
        super().__init__(num_features, num_classes, weight=weight)
        check_shares(threshold=threshold)
        self.threshold, self.begin, self.end = threshold, begin, end
        if not 0 <= begin < end <= 1:
            raise ValueError(f"begin {begin}, end {end}; expected 0 <= begin < end <= 1")

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted cross-entropy of ``target.logits`` (M, C) to their own predicted classes."""
        probabilities, answers = target.logits.detach().softmax(dim=1).max(dim=1)
        confident = (probabilities >= self.threshold).to(target.logits)
        losses = F.cross_entropy(target.logits, answers, reduction="none")
        alpha = min(max((context.progress - self.begin) / (self.end - self.begin), 0.0), 1.0)
        return {"loss": self.weight * alpha * (confident * losses).mean(), "confident": confident.mean()}
