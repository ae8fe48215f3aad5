"""Answers to episodes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from tlzoo.scoring.base import Scores
from tlzoo.scoring.classification import mean

__all__ = ["EpisodeScores"]


class EpisodeScores(Scores):
    """Answers to the queries of episodes, each among the classes of its episode.

    ``accuracy`` is the mean over episodes, ``error`` is 1 - accuracy, and ``interval`` is half the width of its 95 %
    interval over episodes, 1.96 s / sqrt(E), which is NaN for one episode.

    >>> import torch
    >>> EpisodeScores().of(torch.eye(2)[torch.tensor([[0, 1], [0, 0]])], torch.tensor([[0, 1], [0, 1]]))["accuracy"]
    0.75
    """

    right: list[Tensor]

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)  # every process answers every episode, so there is nothing to combine
        self.add_state("right", [], "cat")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add query logits (E, Q, way) and labels (E, Q)."""
        self.right.append(logits.argmax(dim=-1) == labels)

    def by_episode(self) -> NDArray[np.float64]:
        """Return the accuracy of each episode (E,)."""
        right: NDArray[np.bool_] = dim_zero_cat(self.right).cpu().numpy()
        shares: NDArray[np.float64] = right.mean(axis=1)
        return shares

    def compute(self) -> dict[str, float]:
        """Return the scores by name."""
        shares = self.by_episode()
        accuracy = mean(shares)
        spread = shares.std(ddof=1) if len(shares) > 1 else math.nan
        return {
            "accuracy": accuracy,
            "error": float(1 - shares.mean()),
            "interval": float(1.96 * spread / np.sqrt(len(shares))),
        }
