"""MCD: two classifiers maximize their discrepancy on the target, the features minimize it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional import classifier_discrepancy
from tlzoo.functional.checks import check_counts
from tlzoo.methods.alternating import Alternating, Phase
from tlzoo.methods.checks import required
from tlzoo.nn.classifier_pair import ClassifierPair
from tlzoo.paper import Paper
from tlzoo.types import Losses, Prediction

__all__ = ["MCD"]


class MCD(Alternating):
    r"""Maximum classifier discrepancy (Saito et al., CVPR 2018), https://arxiv.org/abs/1712.02560.

    Three phases alternate: features and both classifiers learn the source; the classifiers learn the source while they
    maximize their discrepancy on the target; and the features minimize the discrepancy, ``repeats`` times.

    .. math:: d(p, q) = \frac{1}{M C} \sum_{j, c} |p_{jc} - q_{jc}|

    Differs from the paper: predictions come from the mean logits of both classifiers.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the classifiers.
        repeats: steps of the features per batch.
    """

    paper = Paper(
        title="Maximum Classifier Discrepancy for Unsupervised Domain Adaptation",
        authors=("Saito", "Watanabe", "Ushiku", "Harada"),
        venue="CVPR",
        year=2018,
        arxiv="1712.02560",
    )

    def __init__(self, num_features: int, num_classes: int, *, hidden: int = 256, repeats: int = 4) -> None:
        super().__init__(num_features, num_classes)
        check_counts(repeats=repeats)
        self.repeats = repeats
        self.head = ClassifierPair(num_features, num_classes, hidden)

    def make_head(self) -> nn.Module:
        """Return the two classifiers, which are also part of the method."""
        return self.head

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """Return learn, disagree, agree."""
        return (
            Phase(name="learn", trains=("features", "head")),
            Phase(name="disagree", trains=("head",)),
            Phase(name="agree", trains=("features",), repeats=self.repeats),
        )

    def term(self, phase: str, source: Prediction, target: Prediction) -> Losses:
        """Return the loss of a phase on source (N, D) with labels (N,) and target (M, D).

        Raises:
            ValueError: the source has no labels.
        """
        if phase == "learn":
            return {"loss": self._supervised(source)}
        discrepancy = self.discrepancy(*self.head.each(target.features))
        loss = discrepancy if phase == "agree" else self._supervised(source) - discrepancy
        return {"loss": loss, "discrepancy": discrepancy.detach()}

    def discrepancy(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the discrepancy between the logits (M, C) of the two classifiers."""
        return classifier_discrepancy(first, second)

    def _supervised(self, source: Prediction) -> Tensor:
        labels = required(self, source.labels, "source.labels")
        first, second = self.head.each(source.features)
        return F.cross_entropy(first, labels) + F.cross_entropy(second, labels)
