"""Scores of predictions on unlabelled target training inputs; higher is better for all."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import entropy, information_maximization

__all__ = ["SCORES", "negative_entropy", "negative_information", "scores", "soft_neighborhood_density"]


def negative_entropy(logits: Tensor) -> Tensor:
    """Return minus the mean entropy of logits (N, C), in nats (Morerio et al., ICLR 2018).

    Source: https://arxiv.org/abs/1711.10288.

    Raises:
        ValueError: no predictions.
    """
    if not len(logits):
        raise ValueError("no predictions to score; expected one row of logits or more")
    return -entropy(logits).mean()


def negative_information(logits: Tensor) -> Tensor:
    """Return the entropy of the mean prediction minus the mean entropy of logits (N, C): certain and diverse.

    Raises:
        ValueError: no predictions.

    >>> negative_information(100 * torch.eye(2)) > negative_information(torch.zeros(2, 2))
    tensor(True)
    """
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

    >>> tight, loose = torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]]), torch.eye(4) * 9
    >>> soft_neighborhood_density(loose) > soft_neighborhood_density(tight)
    tensor(True)
    """
    return neighborhood_density(logits.softmax(dim=1), temperature=temperature)


def neighborhood_density(points: Tensor, *, temperature: float = 0.05) -> Tensor:
    """Return the mean entropy, in nats, of every point's soft neighborhood among points (N, D).

    Raises:
        ValueError: fewer than two points, or a temperature that is not positive.
    """
    if len(points) < 2:
        raise ValueError(f"{len(points)} points have no neighbors; expected at least two")
    if temperature <= 0:
        raise ValueError(f"temperature {temperature}; expected a number > 0")
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
