"""Methods that label the target's training examples; the classifier is then trained on these."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_pair
from tlzoo.methods.base import fitted
from tlzoo.methods.checks import check_output
from tlzoo.methods.domain_method import are_values
from tlzoo.methods.feature_method import FeatureMethod, TrainingExamples

__all__ = ["TargetLabeling"]

_NEGLIGIBLE = 1e-6
"""Probability below which a class of an example is left out of training."""


class TargetLabeling(FeatureMethod):
    """Gives every target training example a distribution over classes (label propagation, joint transport).

    The classifier on top is trained on the target features with these labels: every class of an example counts by its
    probability. A nearest-neighbor classifier takes the most probable class, and so answers the training examples
    themselves as they were labelled.

    A method for regression gives numbers in place of distributions, and the regression on top is trained on them.

    A method implements :meth:`label_target`.

    Args:
        num_features: D.
        num_classes: C.
        standardize: whether each domain is first centered and scaled by its own mean and deviation.
    """

    implements: ClassVar[str] = "label_target(source, labels, target)"
    supervised = True

    def __init__(self, num_features: int, num_classes: int, *, standardize: bool = True) -> None:
        super().__init__(num_features, num_classes, standardize=standardize)
        self.reserve("probabilities", 1, num_classes)

    @property
    def transformable(self) -> bool:
        """Labels come from solvers outside torch."""
        return False

    def label_target(self, source: Tensor, labels: Tensor, target: Tensor) -> Tensor:
        """Return probabilities (M, C) for target (M, D) given source (N, D) with labels (N,).

        Features are standardized, in float64 on the CPU. In a regression, labels are (N, T) and the result is values
        (M, T).
        """
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    @final
    def fit_maps_by_class(self, source: Tensor, labels: Tensor, target: Tensor) -> None:
        """Standardize, and label the target."""
        check_pair(source, target)
        ours, theirs = self._remember("source", source.double()), self._remember("target", target.double())
        found = self.label_target(ours.cpu(), labels.cpu(), theirs.cpu())
        check_output(self, found, {"source": ours, "target": theirs}, what="the labels of the target")
        if not are_values(labels):
            found = F.normalize(found.clamp_min(0), p=1, dim=1)
        self.probabilities = found.to(self.get_buffer("source_mean"))

    @final
    def training_examples(
        self, source: Tensor, labels: Tensor, target: Tensor | None, *, weighted: bool
    ) -> TrainingExamples:
        """Return the target with its labels."""
        probabilities = fitted(self, "probabilities")
        features = self.transform_target(target)
        if are_values(labels):
            return TrainingExamples(features, probabilities)
        if not weighted:
            return TrainingExamples(features, probabilities.argmax(dim=1))
        rows, classes = (probabilities > _NEGLIGIBLE).nonzero(as_tuple=True)
        weights = probabilities[rows, classes]
        return TrainingExamples(features[rows], classes, weights / weights.mean())
