"""GradNorm: weights learned so that all tasks train at similar rates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.paper import Paper
from tlzoo.space import Space, Uniform

__all__ = ["GradNorm"]

_LEAST_RATE = 1e-6


class GradNorm(GramianWeighting):
    """Gradient normalization (Chen et al., ICML 2018), https://arxiv.org/abs/1711.02257.

    The sum over tasks of abs(w_i |g_i| - target_i) trains w, with target_i = mean of w |g| * r_i^alpha held constant
    and r_i the loss in relation to its first value, divided by the mean of that over tasks. The weights sum to T.

    Differs from the paper: w is T times the softmax of learned logits, so that it is positive and sums to T after every
    step without being set; gradients are those of all shared parameters, where the paper takes the last shared layer.

    Args:
        num_tasks: T.
        alpha: how strongly slow tasks are favored.

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
    space = Space(alpha=Uniform(0.0, 3.0))

    def __init__(self, num_tasks: int, *, alpha: float = 1.5) -> None:
        super().__init__(num_tasks)
        self.alpha = alpha
        self.logits = nn.Parameter(torch.zeros(num_tasks))
        self.register_buffer("first_losses", torch.full((num_tasks,), torch.nan))

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return T times the softmax of the logits, of those tasks."""
        return self._weights().detach().cpu().to(gramian)[tasks]

    def own_loss(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the distance of the weighted gradients' lengths from their targets, which trains the logits.

        Raises:
            ValueError: no Gramian was given.
        """
        if gramian is None:
            raise ValueError("GradNorm asks for the Gramian (T, T) of the task gradients; got none")
        rates = self._rates(losses.detach())
        there = torch.ones_like(losses, dtype=torch.bool) if self.present is None else self.present
        lengths = self._weights() * gramian.detach().diagonal().clamp_min(0).sqrt().to(losses)
        targets = (lengths[there].mean() * (rates[there] / rates[there].mean()) ** self.alpha).detach()
        return (lengths[there] - targets).abs().sum()

    def _weights(self) -> Tensor:
        return self.num_tasks * self.logits.softmax(dim=0)

    def _rates(self, losses: Tensor) -> Tensor:
        """Return losses in relation to their first values, which are noted when they come."""
        first = self.get_buffer("first_losses")
        come = first.isnan() & (losses > 0)
        first.copy_(losses.where(come, first))
        return (losses / first).where(first > 0, torch.ones_like(losses)).clamp_min(_LEAST_RATE)
