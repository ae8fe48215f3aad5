"""A tuned linear classifier on frozen source features: the baseline that adaptation has to beat."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.errors import InputError
from tlzoo.functional.checks import check_choice, check_positive
from tlzoo.methods.base import fitted
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.nn.logistic import LogisticClassifier
from tlzoo.nn.ridge import RidgeClassifier
from tlzoo.nn.ridge_regression import RidgeRegression
from tlzoo.space import Choice, Space
from tlzoo.types import Sees

__all__ = ["LinearClassifier"]

Preparation = Literal["scaled", "root", "L2N", "CL2N", "standardized"]
_PREPARATIONS = ("scaled", "root", "L2N", "CL2N", "standardized")


class LinearClassifier(FeatureTransform):
    r"""Ridge or logistic regression on prepared source features; it never sees the target.

    Features are prepared in one of five ways, all learned from the source alone: divided by one deviation over all of
    them (``scaled``); by the same, after the signed square root (``root``); by their norm (``L2N``); centered, then
    divided by their norm (``CL2N``); or standardized. Their mean square is about 1 in each case, so that one range of
    penalties serves all. The ridge chooses its penalty by leave-one-out on the labelled source.

    In a regression it is a ridge regression (:class:`~tlzoo.nn.ridge_regression.RidgeRegression`).

    Args:
        num_features: D.
        num_classes: C.
        preparation: what is done to the features.
        classifier: ``"ridge"``, see :class:`~tlzoo.nn.ridge.RidgeClassifier`, or ``"logistic"``, see
            :class:`~tlzoo.nn.logistic.LogisticClassifier`.
        penalty: of the squared weights; None for leave-one-out (ridge) or 10 (logistic).

    >>> method = LinearClassifier(2, 2, preparation="L2N").fit(torch.tensor([[3.0, 4.0], [6.0, 8.0]]), None)
    >>> torch.allclose(method.transform_target(torch.tensor([[30.0, 40.0]])), 2**0.5 * torch.tensor([[0.6, 0.8]]))
    True
    """

    label = "linear classifier"
    for_regression = True
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})
    space = Space(preparation=Choice(_PREPARATIONS))
    variants = ({}, {"preparation": "CL2N"}, {"preparation": "scaled", "classifier": "logistic"})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        preparation: Preparation = "root",
        classifier: Literal["ridge", "logistic"] = "ridge",
        penalty: float | None = None,
    ) -> None:
        super().__init__(num_features, num_classes)
        check_choice(preparation, _PREPARATIONS, what="preparation")
        check_choice(classifier, ("ridge", "logistic"), what="classifier")
        if penalty is not None:
            check_positive(penalty=penalty)
        self.preparation, self.classifier, self.penalty = preparation, classifier, penalty
        self.reserve("scale")

    def make_classifier(self) -> nn.Module:
        """Return the classifier, not fitted yet."""
        if self.classifier == "ridge":
            return RidgeClassifier(self.width, self.num_classes, penalty=self.penalty)
        return LogisticClassifier(self.width, self.num_classes, penalty=self.penalty or 10.0)

    def make_regression(self) -> nn.Module:
        """Return the ridge regression, not fitted yet.

        Raises:
            ValueError: the classifier is another one.
        """
        if self.classifier != "ridge":
            raise InputError(f"classifier={self.classifier!r} learns classes; a regression takes 'ridge'")
        return RidgeRegression(self.width, self.num_classes, penalty=self.penalty)

    def fit_maps(self, source: Tensor, target: Tensor) -> None:
        """Learn what the preparation needs from source (N, D)."""
        self._remember("source", source.double())
        rooted = _root(source) if self.preparation == "root" else source
        spread = rooted.double().std(correction=0)
        self.scale = torch.where(spread > 0, spread, 1.0).to(source)

    def map_source(self, features: Tensor) -> Tensor:
        """Prepare features (B, D)."""
        scale = fitted(self, "scale")
        match self.preparation:
            case "scaled":
                return features / scale
            case "root":
                return _root(features) / scale
            case "standardized":
                return self._standardized(features, "source")
            case "CL2N":
                features = features - fitted(self, "source_mean")
        return F.normalize(features, dim=1) * math.sqrt(self.width)

    def map_target(self, features: Tensor) -> Tensor:
        """Prepare features (B, D) as those of the source."""
        return self.map_source(features)


def _root(features: Tensor) -> Tensor:
    return torch.sign(features) * torch.sqrt(torch.abs(features))
