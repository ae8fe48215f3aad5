"""DB-MTL: log-losses, and gradients scaled to the same length."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least, check_shares
from tlzoo.methods.multitask.jacobian import JacobianWeighting
from tlzoo.paper import Paper

__all__ = ["DBMTL"]

_EPSILON = 1e-8


class DBMTL(JacobianWeighting):
    r"""Dual-balancing (Lin et al., 2023), https://arxiv.org/abs/2308.12029.

    Logarithms balance the losses; heads follow them as well. The gradients of the log-losses are averaged over steps
    and scaled to the length of the longest:

    .. math:: d = \sum_i \frac{\max_j \lVert g_j \rVert}{\lVert g_i \rVert} g_i

    Differs from the paper: at shared features (``space="features"``), which belong to other examples at every step,
    there is nothing to average, and the lengths are those of the batch; the authors' code has no such variant.

    Args:
        num_tasks: T.
        beta: factor of the moving average: g <- beta / step^decay * g + (1 - beta / step^decay) * new.
        decay: power of the step at which the average forgets.

    >>> DBMTL(2).direction(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
    tensor([0.3000, 0.3000])
    """

    label = "DB-MTL"
    paper = Paper(
        title="Dual-Balancing for Multi-Task Learning",
        authors=("Lin", "Jiang", "Ye", "Zhang", "Chen", "Chen", "Liu", "Kwok"),
        venue="arXiv",
        year=2023,
        arxiv="2308.12029",
    )
    revision = 2

    def __init__(self, num_tasks: int, *, beta: float = 0.9, decay: float = 0.5) -> None:
        super().__init__(num_tasks)
        check_shares(beta=beta)
        check_at_least(0, decay=decay)
        self.beta, self.decay = beta, decay
        self.reserve("averages", num_tasks, 0)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def transformed(self, losses: Tensor) -> Tensor:
        """Return the logarithms."""
        return (losses + _EPSILON).log()

    @torch.no_grad()
    def combine(self, jacobian: Tensor) -> Tensor:
        """Map the gradients J (T, P) of the log-losses to the sum of the averages at equal length."""
        averages = jacobian if self.features else self._averaged(jacobian)
        lengths = averages.norm(dim=1)
        factors = (lengths.max() / lengths).where(lengths > 0, torch.zeros_like(lengths))
        direction: Tensor = factors @ averages
        return direction

    def _averaged(self, jacobian: Tensor) -> Tensor:
        """Return the averages over steps of the rows of J (T, P); tasks without labels keep theirs."""
        averages = self.widened("averages", jacobian)
        kept = self.beta / int(self.get_buffer("steps").add_(1)) ** self.decay
        rows = torch.ones(self.num_tasks, dtype=torch.bool) if self.present is None else self.present
        return averages.copy_(torch.where(rows.to(averages.device)[:, None], jacobian.lerp(averages, kept), averages))
