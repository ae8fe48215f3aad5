"""The head of a network for regression: a linear layer whose answers have the unit of the targets."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ValueHead"]


class ValueHead(nn.Linear):
    """A linear layer on features (B, D), whose T outputs count in the targets' deviations from their means.

    Learning is the same whatever the unit of the targets. Mean and deviation are buffers, so a checkpoint has them.

    Args:
        num_features: D.
        num_values: T.

    >>> head = ValueHead(2, 1)
    >>> head.fit(torch.tensor([[100.0], [300.0]]))
    >>> head.standardized(torch.tensor([[300.0]]))
    tensor([[1.]])
    """

    center: Tensor
    spread: Tensor

    def __init__(self, num_features: int, num_values: int) -> None:
        super().__init__(num_features, num_values)
        self.register_buffer("center", torch.zeros(num_values))
        self.register_buffer("spread", torch.ones(num_values))

    def fit(self, values: Tensor) -> None:
        """Take mean and deviation from training values (N, T), NaN where missing; constant targets keep their unit.

        Raises:
            ValueError: a target has no value.
        """
        known = ~values.isnan()
        count = known.sum(dim=0)
        if bool((count == 0).any()):
            raise ValueError(f"target {int((count == 0).nonzero()[0])} has no value to learn from; give it some")
        given = values.double()
        center = given.nan_to_num().sum(dim=0) / count
        spread = ((given - center).nan_to_num().square().sum(dim=0) / count).sqrt()
        self.center.copy_(center)
        self.spread.copy_(torch.where(spread > 0, spread, 1.0))

    def standardized(self, values: Tensor) -> Tensor:
        """Return values (B, T) in deviations from the mean."""
        return (values - self.center) / self.spread

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to values (B, T) in their own unit."""
        return self.center + self.spread * super().forward(features)
