"""Methods that adapt frozen features in a single fit; only a classifier on top of them is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self, final

import torch
from torch import Tensor, nn

from tlzoo.functional import standardization
from tlzoo.functional.precision import at_least_float32, full_precision, working_dtype
from tlzoo.labels import class_labels, value_matrix
from tlzoo.methods.base import fitted
from tlzoo.methods.checks import as_tensor, check_matrix, check_output
from tlzoo.methods.domain_method import DomainMethod, are_values
from tlzoo.types import Sees

__all__ = ["FeatureMethod", "TrainingExamples"]

_SIDES = {"source": Sees.SOURCE_INPUTS, "target": Sees.TARGET_INPUTS}


class TrainingExamples(NamedTuple):
    """What the classifier on top of a method is trained on.

    Attributes:
        features: (K, W).
        labels: (K,), or (K, T) in a regression.
        weights: (K,) weights with mean 1; None if all examples count the same.
    """

    features: Tensor
    labels: Tensor
    weights: Tensor | None = None


class FeatureMethod(DomainMethod):
    """Adapts frozen features in a single fit: by mapping them, weighting source examples or labelling the target.

    Features are tensors or NumPy arrays of any float dtype. Users call :meth:`fit`, :meth:`transform_source` and
    :meth:`transform_target`, and train a classifier on :meth:`training_examples`, which
    :class:`~tlzoo.methods.transforms.AlignedClassifier` does. The kinds of methods are
    :class:`~tlzoo.methods.transforms.FeatureTransform`, :class:`~tlzoo.methods.source_weighting.SourceWeighting` and
    :class:`~tlzoo.methods.target_labeling.TargetLabeling`.

    Buffers hold the result of :meth:`fit`, so that a checkpoint has it.

    Args:
        num_features: D.
        num_classes: C.
        standardize: whether each domain is first centered and scaled by its own mean and deviation, as the published
            tables do; otherwise features are used as they are.

    Attributes:
        supervised: whether :meth:`fit` also needs the labels of the source.
    """

    implements: ClassVar[str] = "fit_maps(source, target), map_source(features) and map_target(features)"
    supervised: bool = False

    def __init__(self, num_features: int, num_classes: int, *, standardize: bool = True) -> None:
        super().__init__(num_features, num_classes)
        self.standardize = standardize
        for side, sees in _SIDES.items():
            if sees in self.sees:
                self.register_buffer(f"{side}_mean", torch.full((num_features,), torch.nan))
                self.register_buffer(f"{side}_deviation", torch.full((num_features,), torch.nan))

    @final
    def fit(self, source: Any, target: Any, labels: Any = None) -> Self:
        """Learn from unlabelled features of source (N, D) and target (M, D).

        Args:
            source: training features.
            target: target training features; None if the method does not declare that it sees them.
            labels: (N,) labels of the source, or (N, T) floats in a regression, which only ``supervised`` methods use.

        Raises:
            ValueError: the features have the wrong width, a side is empty, there are too few examples, or a supervised
                method got no labels or labels that are no classes.
            FloatingPointError: the features have NaN or Inf; the message names the row.
        """
        ours = self._taken(source, "source features")
        theirs = ours.new_empty(0, self.num_features)
        if Sees.TARGET_INPUTS in self.sees:
            if target is None:
                raise ValueError(
                    f"{type(self).__name__} aligns source and target, and the target is None; give it target features"
                )
            theirs = self._taken(target, "target features")
        known = self._checked_labels(labels, len(ours)) if self.supervised else None
        with torch.no_grad(), full_precision(ours):
            if known is None:
                self.fit_maps(ours, theirs)
            else:
                self.fit_maps_by_class(ours, known.to(ours.device), theirs)
        return self

    @final
    def transform_source(self, features: Any) -> Tensor:
        """Map source features (B, D) to the inputs (B, K) of the classifier.

        Raises:
            RuntimeError: it has not been fitted.
            ValueError: the features have the wrong width.
            FloatingPointError: the features have NaN or Inf; the message names the row.
        """
        return self._mapped(self.map_source, features)

    @final
    def transform_target(self, features: Any) -> Tensor:
        """Map target features (B, D) to the inputs (B, K) of the classifier; the errors are the same."""
        return self._mapped(self.map_target, features)

    def training_examples(
        self, source: Tensor, labels: Tensor, target: Tensor | None, *, weighted: bool
    ) -> TrainingExamples:
        """Return the examples for the classifier: by default the mapped source with its labels.

        Args:
            source: (N, D) features of the fit.
            labels: (N,).
            target: (M, D) features of the fit; None if the method does not see them.
            weighted: whether the classifier can weight examples.
        """
        return TrainingExamples(self.transform_source(source), labels)

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Learn from source (N, D) and target (M, D); M is 0 if the method does not see the target."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    def fit_maps_by_class(self, source: Tensor, labels: Tensor, target: Tensor) -> None:
        """Learn from source (N, D) with labels (N,) and target (M, D); what ``supervised`` methods implement."""
        raise NotImplementedError(f"{type(self).__name__} implements no fit_maps_by_class(source, labels, target)")

    def map_source(self, features: Tensor) -> Tensor:
        """Return source features (B, D) mapped to (B, K); standardized by default."""
        return self._standardized(features, "source")

    def map_target(self, features: Tensor) -> Tensor:
        """Return target features (B, D) mapped to (B, K); standardized by default."""
        return self._standardized(features, "target")

    def _checked_labels(self, labels: Any, size: int) -> Tensor:
        """Return the labels of the source, checked."""
        name = type(self).__name__
        if labels is None:
            raise ValueError(f"{name} learns from source labels and got none; call fit(source, target, labels)")
        if self.for_regression and are_values(labels):
            what = f"{name}: source labels"
            return value_matrix(labels, num_values=self.num_classes, size=size, complete=True, what=what)
        return class_labels(
            labels, num_classes=self.num_classes, size=size, complete=True, what=f"{name}: source labels"
        )

    def _taken(self, features: Any, what: str) -> Tensor:
        """Return features as a checked tensor of at least float32."""
        values = at_least_float32(as_tensor(features, what=what))
        check_matrix(self, values, what, "(N, D)", num_features=self.num_features)
        return values

    def _mapped(self, mapping: Callable[[Tensor], Tensor], features: Any) -> Tensor:
        values = self._taken(features, "features")
        values = values.to(working_dtype(self.buffers(), values))
        with full_precision(values):
            mapped = mapping(values)
        check_output(self, mapped, {"features": values}, what="the transformed features")
        return mapped

    def _remember(self, side: str, features: Tensor) -> Tensor:
        """Store the mean and deviation of a side's features (N, D), and return the standardized features."""
        mean, deviation = standardization(features)
        if not self.standardize:
            mean, deviation = torch.zeros_like(mean), torch.ones_like(deviation)
        self.get_buffer(f"{side}_mean").copy_(mean)
        self.get_buffer(f"{side}_deviation").copy_(deviation)
        return (features - mean) / deviation

    def _standardized(self, features: Tensor, side: str) -> Tensor:
        """Return features (B, D) standardized like those of a side in the fit."""
        return (features - fitted(self, f"{side}_mean")) / fitted(self, f"{side}_deviation")

    def make_classifier(self) -> nn.Module | None:
        """Return the method's own classifier on its features, not fitted yet; None for the one that all share."""
        return None

    def make_regression(self) -> nn.Module | None:
        """Return the method's own regression on its features, not fitted yet; None for the one that all share."""
        return None

    @property
    def width(self) -> int:
        """K, the width of the output."""
        return self.num_features
