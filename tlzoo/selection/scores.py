"""Scores of predictions on unlabelled target training inputs; higher is better for all."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import entropy, information_maximization

__all__ = ["SCORES", "negative_entropy", "negative_information", "scores", "soft_neighborhood_density"]


def negative_entropy(logits: Tensor) -> Tensor:
    """Return minus the mean entropy of logits (N, C), in nats (Morerio et al., ICLR 2018)."""
    return -entropy(logits).mean()


def negative_information(logits: Tensor) -> Tensor:
    """Return the entropy of the mean prediction minus the mean entropy of logits (N, C): certain and diverse."""
    return -information_maximization(logits)


def soft_neighborhood_density(logits: Tensor, *, temperature: float = 0.05) -> Tensor:
    """Soft neighborhood density (Saito et al., ICCV 2021), https://arxiv.org/abs/2108.10860.

    The mean entropy of softmax(similarity / temperature) over the other points, similarities being those of
    L2-normalized softmax outputs, as in the authors' code.

    Args:
        logits: (N, C).
        temperature: of the softmax over neighbors.

    Raises:
        ValueError: fewer than two points.
    """
    return neighborhood_density(logits.softmax(dim=1), temperature=temperature)


def neighborhood_density(points: Tensor, *, temperature: float = 0.05) -> Tensor:
    """Return the mean entropy, in nats, of every point's soft neighborhood among points (N, D).

    Raises:
        ValueError: fewer than two points.
    """
    if len(points) < 2:
        raise ValueError(f"{len(points)} points have no neighbors; expected at least two")
    directions = F.normalize(points, dim=1)
    similarity = directions @ directions.T / temperature
    others = ~torch.eye(len(points), dtype=torch.bool, device=points.device)
    return entropy(similarity[others].reshape(len(points), -1)).mean()


SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "entropy": lambda _, logits: negative_entropy(logits),
    "information": lambda _, logits: negative_information(logits),
    "snd": lambda _, logits: soft_neighborhood_density(logits),
}
"""Name -> score of features (N, D) and logits (N, C); higher is better."""


def scores(features: Tensor, logits: Tensor) -> dict[str, Tensor]:
    """Return every score of the predictions on unlabelled target inputs."""
    return {name: score(features, logits) for name, score in SCORES.items()}
