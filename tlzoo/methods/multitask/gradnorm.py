"""GradNorm: learn weights with which all tasks train at similar rates."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tlzoo.functional.checks import check_at_least
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.paper import Paper
from tlzoo.space import Space, Uniform

__all__ = ["GradNorm"]

_LEAST_RATE = 1e-6


class GradNorm(GramianWeighting):
    r"""Gradient normalization (Chen et al., ICML 2018), https://arxiv.org/abs/1711.02257.

    The weights minimize

    .. math::

        \sum_i \left| w_i \lVert g_i \rVert - \mathrm{sg}\left( \bar G \, r_i^\alpha \right) \right|, \qquad
        \bar G = \frac{1}{T} \sum_j w_j \lVert g_j \rVert, \qquad
        r_i = \frac{L_i / L_i^0}{\frac{1}{T} \sum_j L_j / L_j^0}

    where sg stops the gradient. The weights sum to T.

    Differs from the paper: w is T times the softmax of learned logits, so it stays positive and sums to T without
    renormalization. Gradients cover all shared parameters; the paper takes the last shared layer.

    Args:
        num_tasks: T.
        alpha: how strongly slow tasks are favored.
        heads: what parameters of single tasks follow: their losses ``"weighted"`` as in the paper, or their ``"own"``.

    >>> import torch
    >>> GradNorm(2).weights(torch.ones(2), torch.eye(2))
    tensor([1., 1.])
    """

    paper = Paper(
        title="GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks",
        authors=("Chen", "Badrinarayanan", "Lee", "Rabinovich"),
        venue="ICML",
        year=2018,
        arxiv="1711.02257",
    )
    revision = 3
    space = Space(alpha=Uniform(0.0, 3.0))
    variants = ({}, {"heads": "own"})

    def __init__(self, num_tasks: int, *, alpha: float = 1.5, heads: Literal["weighted", "own"] = "weighted") -> None:
        super().__init__(num_tasks)
        check_at_least(0, alpha=alpha)
        self.alpha, self.heads = alpha, heads
        self.logits = nn.Parameter(torch.zeros(num_tasks))
        self.register_buffer("first_losses", torch.full((num_tasks,), torch.nan))

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return T times the softmax of the logits of those tasks."""
        return self._weights().detach().cpu().to(gramian)[tasks]

    def own_loss(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the distance between the weighted gradient norms and their targets, which trains the logits.

        Raises:
            ValueError: the Gramian is missing.
        """
        if gramian is None:
            raise ValueError("GradNorm needs the Gramian (T, T) of the task gradients; got none")
        rates = self._rates(losses.detach())
        there = torch.ones_like(losses, dtype=torch.bool) if self.present is None else self.present
        lengths = self._weights() * gramian.detach().diagonal().clamp_min(0).sqrt().to(losses)
        targets = (lengths[there].mean() * (rates[there] / rates[there].mean()) ** self.alpha).detach()
        return (lengths[there] - targets).abs().sum()

    def _weights(self) -> Tensor:
        return self.num_tasks * self.logits.softmax(dim=0)

    def _rates(self, losses: Tensor) -> Tensor:
        """Return the losses relative to their first values, which are stored when they come."""
        first = self.get_buffer("first_losses")
        come = first.isnan() & (losses > 0)
        first.copy_(losses.where(come, first))
        return (losses / first).where(first > 0, torch.ones_like(losses)).clamp_min(_LEAST_RATE)
