"""LAME: correct predictions so that neighbors in the batch agree."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_choice, check_counts
from tlzoo.functional.kernels import pairwise_squared_distances
from tlzoo.functional.precision import at_least_float32, matmul
from tlzoo.methods.test_time import TestTime
from tlzoo.paper import Paper

__all__ = ["LAME", "Affinity", "affinities", "laplacian_adjusted"]

Affinity = Literal["rbf", "knn", "linear"]


class LAME(TestTime):
    """Laplacian adjusted maximum-likelihood estimation (Boudiaf et al., CVPR 2022), https://arxiv.org/abs/2201.05718.

    Within a test batch, Z <- softmax(log p + ``weight`` * W Z) until it stays, with W the affinities of normalized
    features. The model stays as it is, and nothing is remembered.

    Args:
        model: the source model; copied.
        affinity: ``"rbf"``, the default of the authors' code: exp(-d^2 / (2 s^2)) with s the mean distance to the
            ``neighbors``-th nearest, oneself counted; ``"knn"``: 1 for the ``neighbors`` nearest others; ``"linear"``:
            the inner product.
        neighbors: number of neighbors of each example.
        weight: lambda, the weight of the affinities.
        steps: largest number of iterations.
    """

    paper = Paper(
        title="Parameter-free Online Test-time Adaptation",
        authors=("Boudiaf", "Mueller", "Ben Ayed", "Bertinetto"),
        venue="CVPR",
        year=2022,
        arxiv="2201.05718",
    )
    revision = 2
    variants = ({}, {"affinity": "knn", "neighbors": 2}, {"affinity": "linear"})

    def __init__(
        self,
        model: nn.Module,
        *,
        affinity: Affinity = "rbf",
        neighbors: int = 5,
        weight: float = 1.0,
        steps: int = 100,
    ) -> None:
        super().__init__(model)
        check_choice(affinity, get_args(Affinity), what="affinity")
        check_counts(neighbors=neighbors, steps=steps)
        check_at_least(0, weight=weight)
        self.affinity: Affinity = affinity
        self.neighbors, self.weight, self.steps = neighbors, weight, steps

    def adapt(self, inputs: Any) -> Tensor:
        """Return log-probabilities (B, C), adjusted to the neighbors."""
        prediction = self.predict(inputs)
        unary = at_least_float32(prediction.logits).log_softmax(dim=1)
        affinity = affinities(prediction.features, self.affinity, neighbors=self.neighbors)
        return laplacian_adjusted(unary, affinity, weight=self.weight, steps=self.steps)


def laplacian_adjusted(unary: Tensor, affinity: Tensor, *, weight: float = 1.0, steps: int = 100) -> Tensor:
    """Return the (B, C) log of the fixed point of Z <- softmax(unary + weight * affinity Z), from softmax(unary).

    Args:
        unary: (B, C) log-probabilities.
        affinity: (B, B).
        weight: of the affinities.
        steps: at most so many; fewer where the energy stays, as in the authors' code.
    """
    unary = at_least_float32(unary)
    log_answers, energy = unary.log_softmax(dim=1), torch.inf
    for step in range(steps):
        scores = unary + weight * matmul(affinity, log_answers.exp())
        log_answers = scores.log_softmax(dim=1)
        before, energy = energy, float((log_answers.exp() * (log_answers - scores)).sum())
        if step > 1 and abs(energy - before) <= 1e-8 * abs(before):
            break
    return log_answers


def affinities(features: Tensor, kind: Affinity, *, neighbors: int) -> Tensor:
    """Return the (B, B) affinities of features (B, D), see :class:`LAME`."""
    directions, size = F.normalize(at_least_float32(features), dim=1), len(features)
    if kind == "linear":
        return matmul(directions, directions.T)
    distances = pairwise_squared_distances(directions).fill_diagonal_(0).sqrt()
    if kind == "rbf":
        scale = distances.topk(min(neighbors, size), dim=1, largest=False).values[:, -1].mean()
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))  # examples that coincide are alike at any scale
        return torch.exp(-distances.square() / (2 * scale.square()))
    others = distances.fill_diagonal_(torch.inf).topk(min(neighbors, size - 1), dim=1, largest=False).indices
    return distances.new_zeros(size, size).scatter_(1, others, 1.0)
