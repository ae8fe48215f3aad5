"""IMTL-L: learned scales that bring all losses to one size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper

__all__ = ["IMTLL"]


class IMTLL(Weighting):
    """The loss half of impartial multitask learning (Liu et al., ICLR 2021), https://openreview.net/forum?id=IMPnRXEWpvr.

    total = sum over tasks of e^s L - s with s learned; at the optimum every e^s L is 1.

    Args:
        num_tasks: T.
        initial: where every s starts.

    >>> IMTLL(2)(torch.tensor([2.0, 4.0])).item()  # s = 0: the objective and the weighted sum, each 6
    12.0
    """

    label = "IMTL-L"
    paper = Paper(
        title="Towards Impartial Multi-task Learning",
        authors=("Liu", "Li", "Kuang", "Xue", "Chen", "Yang", "Liao", "Zhang"),
        venue="ICLR",
        year=2021,
        page="https://openreview.net/forum?id=IMPnRXEWpvr",
    )

    def __init__(self, num_tasks: int, *, initial: float = 0.0) -> None:
        super().__init__(num_tasks)
        self.log_scales = nn.Parameter(torch.full((num_tasks,), initial))

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return e^s, detached."""
        return self.log_scales.exp().detach()

    def own_loss(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the sum of e^s L - s, which trains s; losses (T,) are constants in it."""
        return self.those_present(self.log_scales.exp() * losses.detach() - self.log_scales).sum()
