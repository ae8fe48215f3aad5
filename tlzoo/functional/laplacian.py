"""Predictions that agree among neighbors."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.kernels import pairwise_squared_distances
from tlzoo.functional.precision import at_least_float32, matmul

__all__ = ["Affinity", "affinities", "laplacian_adjusted"]

Affinity = Literal["rbf", "knn", "linear"]


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
    r"""Return the (B, B) affinities of features (B, D), each divided by its length.

    Args:
        features: (B, D).
        kind: ``"rbf"``: :math:`e^{-d_{ij}^2 / (2 s^2)}` with the mean distance s to the ``neighbors``-th nearest,
            oneself counted; ``"knn"``: 1 for the ``neighbors`` nearest others, else 0; ``"linear"``: the inner product.
        neighbors: how many; not used by ``"linear"``.

    >>> affinities(torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]]), "knn", neighbors=1).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
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
