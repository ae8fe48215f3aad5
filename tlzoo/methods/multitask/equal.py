"""Equal weights: the plain sum of task losses."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.methods.weighting import Weighting

__all__ = ["Equal"]


class Equal(Weighting):
    """All weights 1: the total is the sum of the task losses.

    Args:
        num_tasks: T.

    >>> Equal(2)(torch.tensor([2.0, 4.0])).item()
    6.0
    """

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return T ones."""
        return torch.ones_like(losses)
