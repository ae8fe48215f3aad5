"""Metrics that torchmetrics lacks."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["MeanClassAccuracy"]


class MeanClassAccuracy(Metric):
    """Mean over classes of the share of right answers: balanced accuracy, or per-class top-1 of zero-shot learning.

    Classes without an example do not count. (torchmetrics' macro average counts such a class as 0 once it is
    predicted.)

    Args:
        num_classes: C.
    """

    full_state_update = False
    higher_is_better = True
    hits: Tensor
    totals: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.add_state("hits", torch.zeros(num_classes), dist_reduce_fx="sum")
        self.add_state("totals", torch.zeros(num_classes), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Take in scores (B, C) and labels (B,)."""
        right = (logits.argmax(dim=1) == labels).to(self.hits)
        self.hits.index_add_(0, labels, right)
        self.totals.index_add_(0, labels, torch.ones_like(right))

    def compute(self) -> Tensor:
        """Return the mean over classes that have examples."""
        there = self.totals > 0
        return (self.hits[there] / self.totals[there]).mean()
