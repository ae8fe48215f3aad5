"""Classifiers on frozen features that need no training loop, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tlzoo.functional.precision import matmul
from tlzoo.nn.logistic import ABSENT, LogisticClassifier, check_examples
from tlzoo.spelling import nearest

__all__ = ["CLASSIFIERS", "LinearSVM", "NearestNeighbor", "create_classifier"]

CROSS_VALIDATED = "cross_validated"
PENALTIES = tuple(10.0**power for power in range(-3, 4))
"""Among which cross-validation chooses."""

_FOLDS = 2
_BY_PRODUCTS = "use_mm_for_euclid_dist"


class LinearSVM(nn.Module):
    r"""Linear support vector machines, one for each pair of classes, solved by scikit-learn (libsvm).

    .. math:: \min_{w, b} \; \frac{\lambda}{2} \lVert w \rVert^2 + \sum_i w_i \max(0, 1 - y_i (w^\top f_i + b))

    The pairs vote; among equal votes the sum of the margins decides. The logits are the votes plus these sums, bounded
    to less than half a vote, as scikit-learn's decision function. The fitted weights are buffers, NaN before the fit.

    Args:
        num_features: D.
        num_classes: C; classes without examples are never predicted.
        penalty: lambda, 1 / C in libsvm's terms; ``"cross_validated"`` for the best of :data:`PENALTIES` in two-fold
            cross-validation on the training examples, the strongest of equals, as the literature's scripts do.

    Raises:
        ValueError: the penalty is not positive.

    >>> points = torch.tensor([[0.0], [1.0], [4.0], [5.0]])
    >>> classifier = LinearSVM(1, 2).fit(points, torch.tensor([0, 0, 1, 1]))
    >>> classifier(torch.tensor([[0.5], [4.5]])).argmax(dim=1).tolist()
    [0, 1]
    """

    weighs: ClassVar[bool] = True
    weight: Tensor
    bias: Tensor
    present: Tensor

    def __init__(self, num_features: int, num_classes: int, *, penalty: float | str = 1.0) -> None:
        super().__init__()
        if isinstance(penalty, str) and penalty != CROSS_VALIDATED:
            raise ValueError(f"penalty {penalty!r}; expected a number > 0 or {CROSS_VALIDATED!r}")
        if not isinstance(penalty, str) and not penalty > 0:
            raise ValueError(f"penalty {penalty}; expected a number > 0 or {CROSS_VALIDATED!r}")
        self.num_features, self.num_classes, self.penalty = num_features, num_classes, penalty
        pairs = num_classes * (num_classes - 1) // 2
        self.register_buffer("weight", torch.full((pairs, num_features), torch.nan))
        self.register_buffer("bias", torch.full((pairs,), torch.nan))
        self.register_buffer("present", torch.zeros(num_classes, dtype=torch.bool))

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> Self:
        """Fit it to features (N, D), labels (N,) and weights (N,) of the examples, in float64.

        Raises:
            ValueError: the shapes do not fit, a label is out of range, or there are fewer than two classes.
        """
        check_examples(features, labels, weights, self.num_features, self.num_classes)
        points, classes = features.double().cpu().numpy(), labels.cpu().numpy()
        shares = None if weights is None else weights.double().cpu().numpy()
        solver = _svm(points, classes, shares, self._chosen(points, classes, shares))
        sign = -1.0 if len(solver.classes_) == 2 else 1.0  # scikit-learn turns the only machine of two classes around
        first, second = _pairs(self.num_classes)
        places = {pair: place for place, pair in enumerate(zip(first.tolist(), second.tolist(), strict=True))}
        ours = [
            places[int(one), int(other)]
            for number, one in enumerate(solver.classes_)
            for other in solver.classes_[number + 1 :]
        ]
        self.weight.zero_()
        self.bias.zero_()
        self.weight[ours] = torch.from_numpy(sign * solver.coef_).to(self.weight)
        self.bias[ours] = torch.from_numpy(sign * solver.intercept_).to(self.bias)
        self.present.zero_()
        self.present[torch.from_numpy(solver.classes_).to(labels)] = True
        return self

    def _chosen(
        self, points: NDArray[np.float64], classes: NDArray[np.int64], shares: NDArray[np.float64] | None
    ) -> float:
        """Return the penalty, the strongest of the best in two-fold cross-validation if there is a choice."""
        if not isinstance(self.penalty, str):
            return float(self.penalty)
        order = np.argsort(classes, kind="stable")
        folds = np.empty(len(classes), dtype=np.int64)
        folds[order] = np.arange(len(classes)) % _FOLDS  # every class in both halves
        if min(len(np.unique(classes[folds == fold])) for fold in range(_FOLDS)) < 2:
            return 1.0
        scores = [
            sum(
                _svm(
                    points[folds != fold], classes[folds != fold], None if shares is None else shares[folds != fold], p
                ).score(points[folds == fold], classes[folds == fold])
                for fold in range(_FOLDS)
            )
            for p in reversed(PENALTIES)
        ]
        return PENALTIES[::-1][int(np.argmax(scores))]

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to logits (B, C).

        Raises:
            RuntimeError: it has not been fitted.
        """
        if bool(self.bias.isnan().any()):
            raise RuntimeError(f"{type(self).__name__} knows no classes yet; call fit first")
        margins = matmul(features, self.weight.T) + self.bias  # (B, pairs), positive for the first of a pair
        first, second = (places.to(margins.device) for places in _pairs(self.num_classes))
        sums = torch.zeros(2, len(features), self.num_classes).to(margins)
        both = self.present[first] & self.present[second]
        for place, values in enumerate(((margins > 0).to(margins), margins)):
            sums[place].index_add_(1, first, values * both)
            sums[place].index_add_(1, second, ((1 - values) if place == 0 else -values) * both)
        votes, confidence = sums
        logits: Tensor = (votes + confidence / (3 * (confidence.abs() + 1))).masked_fill(~self.present, ABSENT)
        return logits


def _pairs(count: int) -> tuple[Tensor, Tensor]:
    first, second = torch.triu_indices(count, count, offset=1)
    return first, second


def _svm(
    points: NDArray[np.float64], classes: NDArray[np.int64], shares: NDArray[np.float64] | None, penalty: float
) -> Any:
    from sklearn.svm import SVC  # here, because it loads much that a forward pass does not need

    return SVC(kernel="linear", C=1 / penalty).fit(points, classes, sample_weight=shares)


class NearestNeighbor(nn.Module):
    """The class of the nearest training example; logits are minus the distances to the nearest example of each class.

    The training examples are buffers, empty before the fit.

    Args:
        num_features: D.
        num_classes: C; classes without examples are never predicted.

    >>> classifier = NearestNeighbor(1, 3).fit(torch.tensor([[0.0], [5.0]]), torch.tensor([2, 1]))
    >>> classifier(torch.tensor([[1.0], [4.0]])).argmax(dim=1).tolist()
    [2, 1]
    """

    weighs: ClassVar[bool] = False
    points: Tensor
    labels: Tensor

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.num_features, self.num_classes = num_features, num_classes
        self.register_buffer("points", torch.empty(0, num_features))
        self.register_buffer("labels", torch.empty(0, dtype=torch.long))

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> Self:
        """Keep features (N, D) and labels (N,).

        Raises:
            ValueError: the shapes do not fit, a label is out of range, there are fewer than two classes, or weights,
                which it cannot use.
        """
        check_examples(features, labels, weights, self.num_features, self.num_classes)
        if weights is not None:
            raise ValueError("NearestNeighbor cannot weight examples; use logistic or linear_svm")
        self.points, self.labels = features.clone(), labels.clone()
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to logits (B, C).

        Raises:
            RuntimeError: it has not been fitted.
        """
        if not len(self.points):
            raise RuntimeError(f"{type(self).__name__} knows no classes yet; call fit first")
        # by products, which is several times faster; in float64, where their rounding changes no neighbor
        distances = torch.cdist(features.double(), self.points.double(), compute_mode=_BY_PRODUCTS).to(features)
        farther = distances.amax(dim=1) - ABSENT
        by_class = []
        for label in range(self.num_classes):
            members = self.labels == label
            by_class.append(distances[:, members].amin(dim=1) if members.any() else farther)
        return -torch.stack(by_class, dim=1)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("points", "labels"):
            if (stored := state_dict.get(prefix + name)) is not None:
                setattr(self, name, torch.empty_like(stored, device=self.get_buffer(name).device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


CLASSIFIERS: dict[str, Callable[..., nn.Module]] = {
    "logistic": LogisticClassifier,
    "linear_svm": LinearSVM,
    "nearest_neighbor": NearestNeighbor,
}
"""Name -> classifier on frozen features."""


def create_classifier(
    name: str, num_features: int, num_classes: int, *, penalty: float | str | None = None
) -> nn.Module:
    """Return a classifier by name.

    Args:
        name: one of :data:`CLASSIFIERS`.
        num_features: D.
        num_classes: C.
        penalty: of a linear classifier; None for its default.

    Raises:
        ValueError: there is no such classifier; the message suggests the nearest.
    """
    if name not in CLASSIFIERS:
        raise ValueError(nearest(name, CLASSIFIERS, kind="classifier"))
    make: Callable[..., nn.Module] = partial(CLASSIFIERS[name], num_features, num_classes)
    return make(penalty=penalty) if penalty is not None and "penalty" in inspect.signature(make).parameters else make()
