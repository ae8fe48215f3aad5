"""IMTL-L: learned scales that bring all losses to the same size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.methods.multitask.imtl_g import IMTLG
from tlzoo.methods.weighting import Weighting

__all__ = ["IMTLL"]


class IMTLL(Weighting):
    r"""The loss half of impartial multitask learning (Liu et al., ICLR 2021), https://openreview.net/forum?id=IMPnRXEWpvr.

    .. math:: \sum_t e^{s_t} L_t - s_t

    with s learned; at the optimum every :math:`e^s L` is 1.

    Args:
        num_tasks: T.
        initial: initial value of every s.

    >>> IMTLL(2)(torch.tensor([2.0, 4.0])).item()  # s = 0: the objective and the weighted sum, each 6
    12.0
    """

    label = "IMTL-L"
    paper = IMTLG.paper

    def __init__(self, num_tasks: int, *, initial: float = 0.0) -> None:
        super().__init__(num_tasks)
        self.log_scales = nn.Parameter(torch.full((num_tasks,), initial))

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return e^s, detached."""
        return self.log_scales.exp().detach()

    def own_loss(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the sum of e^s L - s, which trains s; the losses (T,) are constant."""
        return self.those_present(self.log_scales.exp() * losses.detach() - self.log_scales).sum()
