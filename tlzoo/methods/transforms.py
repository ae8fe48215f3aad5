"""Methods that map frozen features of both domains to similar distributions, and a classifier on top of any fit."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from tlzoo.errors import InputError
from tlzoo.methods.domain_method import are_values, check_for_regression
from tlzoo.methods.feature_method import FeatureMethod
from tlzoo.nn.feature_classifiers import create_classifier
from tlzoo.nn.ridge_regression import RidgeRegression

__all__ = ["AlignedClassifier", "FeatureTransform"]


class FeatureTransform(FeatureMethod):
    """Maps source and target features to similar distributions (CORAL, subspace alignment, transfer components).

    The output usually has the scale of standardized features. Each transform standardizes as its paper does, by the
    statistics of each domain or of one for both, which can be half of the alignment.

    Users call :meth:`fit`, :meth:`transform_source` and :meth:`transform_target`; a method implements
    :meth:`fit_maps` (or :meth:`fit_maps_by_class` if it is ``supervised``), :meth:`map_source` and :meth:`map_target`.

    Args:
        num_features: D.
        num_classes: C.
        standardize: whether each domain is first centered and scaled by its own mean and deviation.
    """


class AlignedClassifier(nn.Module):
    """A method on frozen features with a classifier, which predicts the classes of target features.

    All methods share the same classifier, so they differ only in how they adapt; a method that is nothing but its
    classifier brings its own. It is trained on what the method makes
    of the fit: the aligned source (:class:`FeatureTransform`), the weighted source
    (:class:`~tlzoo.methods.source_weighting.SourceWeighting`), or the target with the labels that it was given
    (:class:`~tlzoo.methods.target_labeling.TargetLabeling`).

    Args:
        transform: a method, fitted or not; :meth:`fit` fits it again.
        classifier: ``"logistic"``, ``"linear_svm"`` or ``"nearest_neighbor"``, see
            :data:`~tlzoo.nn.feature_classifiers.CLASSIFIERS`.
        penalty: of the classifier; ``"cross_validated"`` for a choice on its training examples. None for its default.
        regression: whether labels are real numbers (N, T) instead of classes. A ridge regression takes the place of the
            classifier, and its penalty is a number, or None for leave-one-out.

    Raises:
        ValueError: the method needs classes in a regression, or there is no such classifier.

    >>> from tlzoo.methods.adaptation import LinearOT
    >>> _ = torch.manual_seed(0)
    >>> source, labels = torch.randn(50, 3), torch.arange(50) % 2
    >>> source[:, 0] += 4 * labels
    >>> target = 0.3 * source - 1  # another scale and location
    >>> model = AlignedClassifier(LinearOT(num_features=3, num_classes=2)).fit(source, labels, target)
    >>> bool((model(target).argmax(dim=1) == labels).float().mean() > 0.9)
    True
    """

    classifier: Any

    def __init__(
        self,
        transform: FeatureMethod,
        *,
        classifier: str = "logistic",
        penalty: float | str | None = 1.0,
        regression: bool = False,
    ) -> None:
        super().__init__()
        self.transform, self.regression = transform, regression
        if regression:
            check_for_regression(transform, "this")
            self.classifier = transform.make_regression() or _regression(transform, penalty)
            return
        own = transform.make_classifier()
        shape = transform.width, transform.num_classes
        self.classifier = create_classifier(classifier, *shape, penalty=penalty) if own is None else own

    def fit(
        self, source: Tensor, labels: Tensor, target: Tensor | None, *, shots: tuple[Tensor, Tensor] | None = None
    ) -> Self:
        """Fit the method to source (N, D) with labels (N,) and target (M, D), and the classifier to what comes out.

        Args:
            source: training features.
            labels: labels of the source; (N, T) in a regression.
            target: unlabelled training features; None for a method that does not see them.
            shots: features (K, D) and labels (K,) of labelled target examples, which also train the classifier.

        Raises:
            ValueError: the method or the classifier refuses the data.
            FloatingPointError: the features have NaN or Inf; the message names the row.
        """
        if self.regression != are_values(labels):
            given, wanted = ("classes", "numbers (N, T)") if self.regression else ("numbers (N, T)", "classes (N,)")
            raise InputError(f"labels are {given}; with regression={self.regression} expected {wanted}")
        self.transform.fit(source, target, labels)
        weighted = self.classifier.weighs
        features, classes, weights = self.transform.training_examples(source, labels, target, weighted=weighted)
        if shots is not None:
            features = torch.cat([features, self.transform.transform_target(shots[0])])
            classes = torch.cat([classes, shots[1]])
            weights = None if weights is None else torch.cat([weights, weights.new_ones(len(shots[1]))])
        self.classifier.fit(features, classes, weights)
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Map target features (B, D) to logits (B, C), or to values (B, T) in a regression."""
        logits: Tensor = self.classifier(self.transform.transform_target(features))
        return logits


def _regression(transform: FeatureMethod, penalty: float | str | None) -> RidgeRegression:
    if isinstance(penalty, str):
        raise InputError(f"penalty {penalty!r} of a regression; expected a number > 0, or None for leave-one-out")
    return RidgeRegression(transform.width, transform.num_classes, penalty=penalty)
