"""Two classifiers on the same features."""

from __future__ import annotations

from torch import Tensor, nn

from tlzoo.functional.checks import check_counts

__all__ = ["ClassifierPair"]


class ClassifierPair(nn.Module):
    """Two classifiers with one hidden layer each; their joint prediction is the mean of the logits."""

    def __init__(self, num_features: int, num_classes: int, hidden: int) -> None:
        super().__init__()
        check_counts(hidden=hidden)
        self.first, self.second = (
            nn.Sequential(
                nn.Linear(num_features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, num_classes)
            )
            for _ in range(2)
        )

    def each(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (B, D) to the logits (B, C) of both."""
        return self.first(features), self.second(features)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to mean logits (B, C)."""
        first, second = self.each(features)
        return (first + second) / 2
