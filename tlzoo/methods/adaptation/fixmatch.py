"""FixMatch: learn confident predictions for a weak view on the strong view of the same item."""

from __future__ import annotations

from torch.nn import functional as F

from tlzoo.functional.checks import check_shares
from tlzoo.methods.alignment import WeightedAlignment
from tlzoo.paper import Paper
from tlzoo.space import Choice, LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["FixMatch"]


class FixMatch(WeightedAlignment):
    r"""FixMatch (Sohn et al., NeurIPS 2020), https://arxiv.org/abs/2001.07685, with the target as its unlabelled data.

    .. math::

        \frac{w}{M} \sum_j \mathbf{1}\left[\max_c q_{jc} \ge \tau\right]
        \mathrm{CE}\left(\text{logits}_j^{\text{strong}}, \arg\max_c q_{jc}\right)

    with the detached prediction q for the weak view and the threshold tau.

    Differs from the paper: each step has as many unlabelled as labelled examples instead of seven times as many; source
    examples are not augmented.

    Args:
        num_features: D.
        num_classes: C.
        threshold: smallest probability of a prediction to learn.
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
        super().__init__(num_features, num_classes, weight=weight)
        check_shares(threshold=threshold)
        self.threshold = threshold

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted cross-entropy of the strong view's logits (M, C) to the weak view's predictions.

        Raises:
            ValueError: the target has no views.
        """
        probabilities, answers = target.view("weak").logits.detach().softmax(dim=1).max(dim=1)
        confident = (probabilities >= self.threshold).to(probabilities)
        losses = F.cross_entropy(target.view("strong").logits, answers, reduction="none")
        return {"loss": self.weight * (confident * losses).mean(), "confident": confident.mean()}
