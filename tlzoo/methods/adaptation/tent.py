"""TENT: minimize the entropy of test predictions through the scales and shifts of normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from tlzoo.functional import entropy
from tlzoo.functional.checks import check_positive
from tlzoo.methods.test_time import Online
from tlzoo.paper import Paper

__all__ = ["TENT"]


class TENT(Online):
    r"""Test entropy minimization (Wang et al., ICLR 2021), https://arxiv.org/abs/2006.10726.

    Each batch is normalized by its own statistics. After its predictions, one Adam step on the scales and shifts of the
    normalization layers lowers their mean entropy:

    .. math:: \frac{1}{B} \sum_i H(p_i)

    Args:
        model: the source model; copied.
        lr: learning rate of Adam.
    """

    paper = Paper(
        title="Tent: Fully Test-Time Adaptation by Entropy Minimization",
        authors=("Wang", "Shelhamer", "Liu", "Olshausen", "Darrell"),
        venue="ICLR",
        year=2021,
        arxiv="2006.10726",
    )
    revision = 2

    def __init__(self, model: nn.Module, *, lr: float = 1e-3) -> None:
        check_positive(lr=lr)
        self.lr = lr
        super().__init__(model)

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return Adam."""
        return Adam(parameters, lr=self.lr)

    def learn(self, inputs: Any, logits: Tensor) -> None:
        """Lower the mean entropy of logits (B, C)."""
        self.step(entropy(logits).mean())
