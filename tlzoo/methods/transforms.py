"""Methods that align frozen features in closed form; only the classifier on their output is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor, nn

from tlzoo.functional import standardization
from tlzoo.functional.precision import at_least_float32, full_precision, working_dtype
from tlzoo.methods.base import fitted
from tlzoo.methods.checks import as_tensor, check_matrix, check_output
from tlzoo.methods.domain_method import DomainMethod
from tlzoo.nn.logistic import LogisticClassifier
from tlzoo.types import Sees

__all__ = ["AlignedClassifier", "FeatureTransform"]

_SIDES = {"source": Sees.SOURCE_INPUTS, "target": Sees.TARGET_INPUTS}


class FeatureTransform(DomainMethod):
    """Maps source and target features to similar distributions (CORAL, subspace alignment, linear transport).

    Features are tensors or NumPy arrays of any float dtype. The output has the scale of standardized features. Each
    transform standardizes as its paper does, by the statistics of each domain or of one for both, which can be half of
    the alignment.

    Users call :meth:`fit`, :meth:`transform_source` and :meth:`transform_target`; a method implements
    :meth:`fit_maps`, :meth:`map_source` and :meth:`map_target`.

    Buffers hold the result of :meth:`fit`, so that a checkpoint has it. A transform uses no labels; only its classifier
    does, see :class:`AlignedClassifier`.

    Args:
        num_features: D.
        num_classes: C.
    """

    implements: ClassVar[str] = "fit_maps(source, target), map_source(features) and map_target(features)"

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(num_features, num_classes)
        for side, sees in _SIDES.items():
            if sees in self.sees:
                self.register_buffer(f"{side}_mean", torch.full((num_features,), torch.nan))
                self.register_buffer(f"{side}_deviation", torch.full((num_features,), torch.nan))

    @final
    def fit(self, source: Any, target: Any) -> Self:
        """Learn the maps from unlabelled features of source (N, D) and target (M, D).

        Args:
            source: training features.
            target: target training features; None if the method does not declare that it sees them.

        Raises:
            ValueError: the features have the wrong width, a side is empty, or there are too few examples.
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
        with torch.no_grad(), full_precision(ours):
            self.fit_maps(ours, theirs)
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

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Find the maps from source (N, D) and target (M, D); M is 0 if the method does not see the target."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    def map_source(self, features: Tensor) -> Tensor:
        """Return source features (B, D) mapped to (B, K); standardized by default."""
        return self._standardized(features, "source")

    def map_target(self, features: Tensor) -> Tensor:
        """Return target features (B, D) mapped to (B, K); standardized by default."""
        return self._standardized(features, "target")

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
        self.get_buffer(f"{side}_mean").copy_(mean)
        self.get_buffer(f"{side}_deviation").copy_(deviation)
        return (features - mean) / deviation

    def _standardized(self, features: Tensor, side: str) -> Tensor:
        """Return features (B, D) standardized like those of a side in the fit."""
        return (features - fitted(self, f"{side}_mean")) / fitted(self, f"{side}_deviation")

    @property
    def width(self) -> int:
        """K, the width of the output."""
        return self.num_features


class AlignedClassifier(nn.Module):
    """A transform with a classifier on the aligned source features, which predicts the classes of target features.

    All transforms share the same classifier, a logistic regression, so they differ only in their alignment.

    Args:
        transform: a transform, fitted or not; :meth:`fit` fits it again.
        penalty: see :class:`~tlzoo.nn.logistic.LogisticClassifier`.

    >>> from tlzoo.methods.adaptation import LinearOT
    >>> _ = torch.manual_seed(0)
    >>> source, labels = torch.randn(50, 3), torch.arange(50) % 2
    >>> source[:, 0] += 4 * labels
    >>> target = 0.3 * source - 1  # another scale and location
    >>> model = AlignedClassifier(LinearOT(num_features=3, num_classes=2)).fit(source, labels, target)
    >>> bool((model(target).argmax(dim=1) == labels).float().mean() > 0.9)
    True
    """

    def __init__(self, transform: FeatureTransform, *, penalty: float = 1.0) -> None:
        super().__init__()
        self.transform = transform
        self.classifier = LogisticClassifier(transform.width, transform.num_classes, penalty=penalty)

    def fit(
        self, source: Tensor, labels: Tensor, target: Tensor | None, *, shots: tuple[Tensor, Tensor] | None = None
    ) -> Self:
        """Fit the transform to source (N, D) and target (M, D), the classifier to the aligned source and labels (N,).

        Args:
            source: training features.
            labels: labels of the source.
            target: unlabelled training features; None for a transform that does not see them.
            shots: features (K, D) and labels (K,) of labelled target examples, which also train the classifier.

        Raises:
            ValueError: the transform or the classifier refuses the data.
            FloatingPointError: the features have NaN or Inf; the message names the row.
        """
        self.transform.fit(source, target)
        aligned = self.transform.transform_source(source)
        if shots is not None:
            aligned, labels = (
                torch.cat([aligned, self.transform.transform_target(shots[0])]),
                torch.cat([labels, shots[1]]),
            )
        self.classifier.fit(aligned, labels)
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Map target features (B, D) to logits (B, C)."""
        logits: Tensor = self.classifier(self.transform.transform_target(features))
        return logits
