"""Fitting class weights of episodes by gradient descent, gradients written out, all episodes at once.

Gradients are formulas rather than autograd's, for two reasons: a step costs a few small products, and what is fitted
stays an ordinary differentiable function of the features, without a graph inside a graph.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["descend", "fit_cosine", "fit_euclidean", "through_softmax"]

Gradient = Callable[[Tensor], Tensor]

_TINY = 1e-12


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
        temperature: multiplies the cosines.
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
