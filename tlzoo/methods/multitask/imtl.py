"""IMTL: learned loss scales combined with impartial gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.methods.multitask.imtl_g import IMTLG

__all__ = ["IMTL"]


class IMTL(IMTLG):
    """Impartial multitask learning, both halves (Liu et al., ICLR 2021), https://openreview.net/forum?id=IMPnRXEWpvr.

    Losses are scaled by :math:`e^s`, with s learned from the sum of :math:`e^s L - s` (IMTL-L); heads follow the scaled
    losses as well. The gradients of the scaled losses are weighted for equal projections (IMTL-G).

    Args:
        num_tasks: T.
        initial: initial value of every s.

    >>> import torch
    >>> IMTL(2).weights(torch.ones(2), torch.diag(torch.tensor([4.0, 1.0])))
    tensor([0.3333, 0.6667])
    """

    label = "IMTL"

    def __init__(self, num_tasks: int, *, initial: float = 0.0) -> None:
        super().__init__(num_tasks)
        self.log_scales = nn.Parameter(torch.full((num_tasks,), initial))

    def transformed(self, losses: Tensor) -> Tensor:
        """Return e^s L, with s held constant."""
        return self.log_scales.exp().detach() * losses

    def own_loss(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the sum of e^s L - s, which trains s."""
        return self.those_present(self.log_scales.exp() * losses.detach() - self.log_scales).sum()
