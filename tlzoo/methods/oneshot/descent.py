"""Classifiers whose class weights go down an objective of the episode's logits, all episodes at once.

A method shows its objective. Beside it stands the objective's gradient by the logits, which the descent goes by: a step
costs a few small products, and what is fitted stays an ordinary differentiable function of the features, without a
graph inside a graph. Tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import cosine_similarities, memberships, negative_squared_distances, prototypes
from tlzoo.functional.checks import check_choice, check_counts, check_positive
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.types import Sees

__all__ = [
    "DescendingClassifier",
    "Distance",
    "cross_entropy",
    "descend",
    "fit_cosine",
    "fit_euclidean",
    "through_softmax",
]

Distance = Literal["cosine", "euclidean"]
Gradient = Callable[[Tensor], Tensor]

_TINY = 1e-12


class DescendingClassifier(FeatureClassifier):
    """Class weights that start at the class means and go down the support's cross-entropy, or what a subclass says.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot.
        distance: ``"cosine"``: logits are temperature * cos(f, w); ``"euclidean"``: -temperature / 2 * ||f - w||^2.
        temperature: of the logits.
        steps: number of descent steps.
        rate: length of a step.
    """

    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        transform: Transform,
        *,
        distance: Distance,
        temperature: float,
        steps: int,
        rate: float,
    ) -> None:
        super().__init__(num_features, transform)
        check_choice(distance, ("cosine", "euclidean"), what="distance")
        check_positive(temperature=temperature, rate=rate)
        check_counts(low=0, steps=steps)
        self.distance, self.temperature, self.steps, self.rate = distance, temperature, steps, rate

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        members = memberships(support_labels, way, dtype=support.dtype)
        weights = (fit_cosine if self.distance == "cosine" else fit_euclidean)(
            prototypes(support, support_labels, way),
            torch.cat([support, query], dim=1) if Sees.TEST_INPUTS in self.sees else support,
            lambda logits: self.gradient(logits, members),
            temperature=self.temperature,
            steps=self.steps,
            rate=self.rate,
        )
        if self.distance == "cosine":
            return self.temperature * cosine_similarities(query, weights)
        return self.temperature / 2 * negative_squared_distances(query, weights)

    def objective(self, logits: Tensor, members: Tensor) -> Tensor:
        """Return what each episode's weights minimize (E,).

        Args:
            logits: (E, S, way) of the support; (E, S + Q, way) with the queries where the method sees them.
            members: (E, S, way) labels of the support as ones and zeros.
        """
        return cross_entropy(logits, members)

    def gradient(self, logits: Tensor, members: Tensor) -> Tensor:
        """Return the gradient of the objective by the logits, for :meth:`answer` to go by."""
        return (logits.softmax(dim=-1) - members) / members.shape[1]


def cross_entropy(logits: Tensor, members: Tensor) -> Tensor:
    """Return the mean cross-entropy (E,) of logits (E, S, way) with labels as ones and zeros (E, S, way)."""
    return -(members * logits.log_softmax(dim=-1)).sum(dim=-1).mean(dim=1)


def descend(weights: Tensor, gradient: Gradient, *, steps: int, rate: float) -> Tensor:
    """Return weights (E, W, D) after steps of Adam whose second moment is one number a row.

    A row's step is at most about ``rate`` long, in whatever coordinates the row is given; Adam itself (Kingma & Ba,
    ICLR 2015, https://arxiv.org/abs/1412.6980), with a second moment a coordinate, would take a step of length
    lr * sqrt(D) that changes with the coordinates.

    Args:
        weights: where to start.
        gradient: maps weights to the gradient of the loss.
        steps: how many.
        rate: length of a step.
    """
    first, second = torch.zeros_like(weights), torch.zeros_like(weights[..., :1])
    for step in range(1, steps + 1):
        slope = gradient(weights)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope.square().sum(dim=-1, keepdim=True)
        length = (second / (1 - 0.999**step) + _TINY).sqrt()
        weights = weights - rate / (1 - 0.9**step) * first / length
    return weights


def fit_cosine(
    weights: Tensor, features: Tensor, gradient: Gradient, *, temperature: float, steps: int, rate: float
) -> Tensor:
    """Return class weights (E, W, D) fitted so that a loss of the logits falls.

    Args:
        weights: where to start.
        features: (E, N, D).
        gradient: maps logits (E, N, W), temperature times cosines, to the gradient of the loss by them.
        temperature: factor of the cosines.
        steps: of :func:`descend`, which this goes by.
        rate: length of a step.
    """
    features = F.normalize(features, dim=-1)

    def slope(weights: Tensor) -> Tensor:
        lengths: Tensor = torch.linalg.vector_norm(weights, dim=-1, keepdim=True).clamp_min(_TINY)
        directions = weights / lengths
        by_logits = gradient(temperature * (features @ directions.transpose(1, 2)))
        by_directions = temperature * (by_logits.transpose(1, 2) @ features)
        along = (by_directions * directions).sum(dim=-1, keepdim=True)
        return (by_directions - along * directions) / lengths

    return descend(weights, slope, steps=steps, rate=rate)


def fit_euclidean(
    weights: Tensor, features: Tensor, gradient: Gradient, *, temperature: float, steps: int, rate: float
) -> Tensor:
    """Return class weights (E, W, D) fitted as in :func:`fit_cosine`, logits being -temperature/2 ||f - w||^2."""

    def slope(weights: Tensor) -> Tensor:
        # what is the same for all classes of an item leaves softmax and gradient alone
        logits = features @ weights.transpose(1, 2) - weights.square().sum(dim=-1).unsqueeze(1) / 2
        by_logits = gradient(temperature * logits)
        pulls: Tensor = by_logits.transpose(1, 2) @ features - by_logits.sum(dim=1).unsqueeze(2) * weights
        return temperature * pulls

    return descend(weights, slope, steps=steps, rate=rate)


def through_softmax(probabilities: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient by logits (..., W) from that by their softmax (..., W)."""
    return probabilities * (gradient - (probabilities * gradient).sum(dim=-1, keepdim=True))
