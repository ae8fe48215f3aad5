"""Classifiers that fit class weights by gradient descent on the logits of all episodes at once.

A method defines its objective and, for the descent, the gradient of the objective with respect to the logits. A step
then costs a few small products, and the fit is an ordinary differentiable function of the features, without nested
graphs. Tests check the gradient against the objective.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from tlzoo.functional import cosine_similarities, memberships, negative_squared_distances, prototypes
from tlzoo.functional.checks import check_choice, check_counts, check_positive
from tlzoo.functional.norms import directions
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
    """Class weights that start at the class means and minimize the support's cross-entropy or a subclass's objective.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        distance: ``"cosine"``: logits are temperature * cos(f, w); ``"euclidean"``: -temperature / 2 * ||f - w||^2.
        temperature: temperature of the logits.
        steps: number of descent steps.
        rate: length of a step.
    """

    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        transform: Transform,
        *,
        base_mean: Any = None,
        distance: Distance,
        temperature: float,
        steps: int,
        rate: float,
    ) -> None:
        super().__init__(num_features, transform, base_mean=base_mean)
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
        """Return the objective (E,) of each episode.

        Args:
            logits: (E, S, way) of the support; (E, S + Q, way) with the queries if the method sees them.
            members: (E, S, way) one-hot labels of the support.
        """
        return cross_entropy(logits, members)

    def gradient(self, logits: Tensor, members: Tensor) -> Tensor:
        """Return the gradient of the objective with respect to the logits, for :meth:`answer`."""
        return (logits.softmax(dim=-1) - members) / members.shape[1]


def cross_entropy(logits: Tensor, members: Tensor) -> Tensor:
    """Return the mean cross-entropy (E,) of logits (E, S, way) with one-hot labels (E, S, way)."""
    return -(members * logits.log_softmax(dim=-1)).sum(dim=-1).mean(dim=1)


def descend(weights: Tensor, gradient: Gradient, *, steps: int, rate: float) -> Tensor:
    """Return weights (E, W, D) after steps of Adam with one second moment per row.

    A row's step is at most about ``rate`` long, in whatever coordinates it has; plain Adam (Kingma & Ba,
    ICLR 2015, https://arxiv.org/abs/1412.6980), with a second moment per coordinate, would take a step of length
    lr * sqrt(D) that changes with the coordinates.

    Args:
        weights: the initial weights.
        gradient: maps weights to the gradient of the loss.
        steps: number of steps.
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
    """Return class weights (E, W, D) that are fitted to a loss of the logits.

    Args:
        weights: the initial weights.
        features: (E, N, D).
        gradient: maps logits (E, N, W), temperature times cosines, to the gradient of the loss with respect to them.
        temperature: factor of the cosines.
        steps: number of steps of :func:`descend`.
        rate: length of a step.
    """
    features = directions(features)

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
    """Return class weights (E, W, D) fitted as in :func:`fit_cosine`, for logits -temperature/2 ||f - w||^2."""

    def slope(weights: Tensor) -> Tensor:
        # a shift of all logits of an item changes neither softmax nor gradient
        logits = features @ weights.transpose(1, 2) - weights.square().sum(dim=-1).unsqueeze(1) / 2
        by_logits = gradient(temperature * logits)
        pulls: Tensor = by_logits.transpose(1, 2) @ features - by_logits.sum(dim=1).unsqueeze(2) * weights
        return temperature * pulls

    return descend(weights, slope, steps=steps, rate=rate)


def through_softmax(probabilities: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient with respect to logits (..., W), given that with respect to their softmax (..., W)."""
    return probabilities * (gradient - (probabilities * gradient).sum(dim=-1, keepdim=True))
