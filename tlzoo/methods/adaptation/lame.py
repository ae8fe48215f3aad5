"""LAME: answers are corrected so that neighbors in the batch agree."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.methods.test_time import TestTime
from tlzoo.paper import Paper

__all__ = ["LAME", "laplacian_adjusted"]


class LAME(TestTime):
    """Laplacian adjusted maximum-likelihood estimation (Boudiaf et al., CVPR 2022), https://arxiv.org/abs/2201.05718.

    Within a test batch, Z <- softmax(log p + ``weight`` * W Z) until it stays, with W the affinities of ``neighbors``
    nearest neighbors among normalized features. The model stays as it is, and nothing is remembered.

    Args:
        model: the source model; copied.
        neighbors: of each example.
        weight: of the affinities.
        steps: at most so many.
    """

    paper = Paper(
        title="Parameter-free Online Test-time Adaptation",
        authors=("Boudiaf", "Mueller", "Ben Ayed", "Bertinetto"),
        venue="CVPR",
        year=2022,
        arxiv="2201.05718",
    )
    variants = ({}, {"neighbors": 2})

    def __init__(self, model: nn.Module, *, neighbors: int = 5, weight: float = 1.0, steps: int = 100) -> None:
        super().__init__(model)
        check_counts(neighbors=neighbors, steps=steps)
        check_at_least(0, weight=weight)
        self.neighbors, self.weight, self.steps = neighbors, weight, steps

    def adapt(self, inputs: Any) -> Tensor:
        """Return log-probabilities (B, C) that its neighbors have a say in."""
        prediction = self.predict(inputs)
        unary = prediction.logits.log_softmax(dim=1)
        affinity = _affinity(prediction.features, self.neighbors)
        return laplacian_adjusted(unary, affinity, weight=self.weight, steps=self.steps)


def laplacian_adjusted(unary: Tensor, affinity: Tensor, *, weight: float = 1.0, steps: int = 100) -> Tensor:
    """Return the (B, C) log of the fixed point of Z <- softmax(unary + weight * affinity Z), begun at softmax(unary).

    Args:
        unary: (B, C) log-probabilities.
        affinity: (B, B).
        weight: of the affinities.
        steps: at most so many; fewer where the bound stays.
    """
    log_answers, bound = unary.log_softmax(dim=1), torch.inf
    for _ in range(steps):
        pairwise = weight * affinity @ log_answers.exp()
        log_answers = (unary + pairwise).log_softmax(dim=1)
        answers = log_answers.exp()
        now = float((answers * (log_answers - unary - 0.5 * weight * affinity @ answers)).sum())
        if abs(now - bound) <= 1e-8 * max(abs(now), 1.0):
            break
        bound = now
    return log_answers


def _affinity(features: Tensor, neighbors: int) -> Tensor:
    """Return (B, B): 1 where the column is among the nearest of the row, which is not its own neighbor."""
    count = min(neighbors, len(features) - 1)
    matrix = features.new_zeros(len(features), len(features))
    if not count:
        return matrix
    directions = F.normalize(features, dim=1)
    similarity = (directions @ directions.T).fill_diagonal_(-torch.inf)
    return matrix.scatter_(1, similarity.topk(count, dim=1).indices, 1.0)
