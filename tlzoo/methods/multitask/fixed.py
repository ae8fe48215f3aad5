"""Fixed weights: scalarization, which is hard to beat once tuned."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper

__all__ = ["Fixed"]


class Fixed(Weighting):
    """Given weights, tuned on validation data in benchmarks (Xin et al., NeurIPS 2022), https://arxiv.org/abs/2209.11379.

    Args:
        num_tasks: T.
        weights: T numbers >= 0, used as they are (not normalized).

    >>> Fixed(2, weights=[1.0, 0.5])(torch.tensor([2.0, 4.0])).item()
    4.0
    """

    label = "fixed weights"
    paper = Paper(
        title="Do Current Multi-Task Optimization Methods in Deep Learning Even Help?",
        authors=("Xin", "Ghorbani", "Gilmer", "Garg", "Firat"),
        venue="NeurIPS",
        year=2022,
        arxiv="2209.11379",
    )
    variants = ({"weights": (0.5, 2.0, 1.0)},)

    def __init__(self, num_tasks: int, *, weights: Sequence[float]) -> None:
        super().__init__(num_tasks)
        if len(weights) != num_tasks or not all(0 <= weight < math.inf for weight in weights):
            raise ValueError(f"weights {list(weights)} for {num_tasks} tasks; expected one number >= 0 per task")
        self.register_buffer("values", torch.tensor(weights, dtype=torch.float64))

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the given weights in the losses' dtype."""
        return self.get_buffer("values").to(losses)
