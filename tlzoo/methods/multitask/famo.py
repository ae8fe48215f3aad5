"""FAMO: make all log-losses fall at the same rate, using only the losses."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least, check_positive
from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space

__all__ = ["FAMO"]

_EPSILON = 1e-8


class FAMO(Weighting):
    r"""Fast adaptive multitask optimization (Liu et al., NeurIPS 2023), https://arxiv.org/abs/2306.03792.

    .. math:: w_i = c \, \frac{z_i}{L_i - b + \epsilon}, \qquad z = \mathrm{softmax}(\xi)

    with c such that the weights sum to 1. After each step, the logits xi take an Adam step along the decrease of the
    log-losses, so a task that decreased less gains weight. Where a step accumulates several batches, these are mean
    losses over all of them.

    Args:
        num_tasks: T.
        lr: learning rate of the logits.
        weight_decay: weight decay of the logits; 1e-3 in the paper, 1e-5 in the authors' code.
        lower_bound: b, below every loss.

    >>> FAMO(2).weights(torch.tensor([1.0, 3.0]))
    tensor([0.7500, 0.2500])
    """

    paper = Paper(
        title="FAMO: Fast Adaptive Multitask Optimization",
        authors=("Liu", "Feng", "Stone", "Liu"),
        venue="NeurIPS",
        year=2023,
        arxiv="2306.03792",
    )
    space = Space(lr=LogUniform(0.001, 0.1))
    variants = ({}, {"lower_bound": -1.0})

    def __init__(
        self, num_tasks: int, *, lr: float = 0.025, weight_decay: float = 1e-3, lower_bound: float = 0.0
    ) -> None:
        super().__init__(num_tasks)
        check_positive(lr=lr)
        check_at_least(0, weight_decay=weight_decay)
        self.lr, self.weight_decay, self.lower_bound = lr, weight_decay, lower_bound
        for name in ("logits", "mean", "square"):
            self.register_buffer(name, torch.zeros(num_tasks))
        self.register_buffer("before", torch.full((num_tasks,), torch.nan))
        self.register_buffer("batches", torch.zeros(num_tasks, dtype=torch.int64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return c z / (L - b + eps)."""
        before, batches = self.get_buffer("before"), self.get_buffer("batches")
        before.copy_(losses + before.where(batches > 0, torch.zeros_like(before)))
        batches.add_(1 if self.present is None else self.present.long())
        shares = self.those_present(self.get_buffer("logits").softmax(dim=0).to(losses) / self._above(losses))
        return shares / shares.sum()

    @torch.no_grad()
    def after_step(self, losses: Tensor) -> None:
        """Take an Adam step on the logits from the losses (T,) of the same batch after the step."""
        logits, mean, square = (self.get_buffer(name) for name in ("logits", "mean", "square"))
        before, batches = self.get_buffer("before"), self.get_buffer("batches")
        before = before / batches.clamp_min(1)
        batches.zero_()
        falls = self.those_present(self._above(before).log() - self._above(losses).to(logits).log())
        shares = logits.softmax(dim=0)
        gradient = shares * (falls - (shares * falls).sum()) + self.weight_decay * logits
        step = int(self.get_buffer("steps").add_(1))
        mean.lerp_(gradient, 0.1)
        square.lerp_(gradient.square(), 0.001)
        corrected = square.div(1 - 0.999**step).sqrt() + 1e-8
        logits.sub_(self.lr / (1 - 0.9**step) * mean / corrected)

    def _above(self, losses: Tensor) -> Tensor:
        return (losses - self.lower_bound).clamp_min(0) + _EPSILON
