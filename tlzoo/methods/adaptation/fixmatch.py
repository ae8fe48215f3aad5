"""FixMatch: confident answers to a weakly changed item are learned for a strongly changed one."""

from __future__ import annotations

from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_shares
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import Choice, LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["FixMatch"]


class FixMatch(Alignment):
    """FixMatch (Sohn et al., NeurIPS 2020), https://arxiv.org/abs/2001.07685, with the target as its unlabelled data.

    loss = weight * mean over the target of 1[max q >= threshold] CE(p_strong, argmax q), with q the answer to the weak
    view, detached, and p_strong that to the strong one.

    Differs from the paper: as many unlabelled examples a step as labelled ones instead of seven times as many; source
    examples are not changed.

    Args:
        num_features: D.
        num_classes: C.
        threshold: least probability of an answer that is learned.
        weight: lambda_u.
    """

    paper = Paper(
        title="FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence",
        authors=("Sohn", "Berthelot", "Li", "Zhang", "Carlini", "Cubuk", "Kurakin", "Zhang", "Raffel"),
        venue="NeurIPS",
        year=2020,
        arxiv="2001.07685",
    )
    space = Space(weight=LogUniform(0.1, 10.0), threshold=Choice((0.8, 0.9, 0.95)))
    needs = frozenset({Need.VIEWS})
    variants = ({}, {"threshold": 0.4})

    def __init__(self, num_features: int, num_classes: int, *, threshold: float = 0.95, weight: float = 1.0) -> None:
        super().__init__(num_features, num_classes)
        check_shares(threshold=threshold)
        check_at_least(0, weight=weight)
        self.threshold, self.weight = threshold, weight

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted cross-entropy of the strong view's logits (M, C) to answers to the weak view.

        Raises:
            ValueError: the target has no such views.
        """
        probabilities, answers = target.view("weak").logits.detach().softmax(dim=1).max(dim=1)
        confident = (probabilities >= self.threshold).to(probabilities)
        losses = F.cross_entropy(target.view("strong").logits, answers, reduction="none")
        return {"loss": self.weight * (confident * losses).mean(), "confident": confident.mean()}
