"""LP-FT: a linear probe first, then all parameters."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer

from tlzoo.functional.checks import check_shares
from tlzoo.methods.strategy import Strategy
from tlzoo.paper import Paper
from tlzoo.types import Backbone

__all__ = ["LPFT"]


class LPFT(Strategy):
    """Linear probing, then fine-tuning (Kumar et al., ICLR 2022), https://arxiv.org/abs/2202.10054.

    The head trains alone first. When all parameters train, a good head no longer distorts the pretrained features.

    Differs from the paper: the two stages share one budget of steps and one schedule of the learning rate; the paper
    trains the probe to convergence, and tunes the rate of the second stage apart.

    Args:
        probe: share of the training in which the head trains alone.
    """

    label = "LP-FT"
    paper = Paper(
        title="Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution",
        authors=("Kumar", "Raghunathan", "Jones", "Ma", "Liang"),
        venue="ICLR",
        year=2022,
        arxiv="2202.10054",
    )
    unfreezes = True

    def __init__(self, *, probe: float = 0.5) -> None:
        super().__init__()
        check_shares(probe=probe)
        self.probe = probe

    def parameter_groups(self, backbone: Backbone, *, lr: float) -> list[dict[str, Any]]:
        """Return one group of all parameters, including the frozen ones, which train later."""
        return [{"params": list(backbone.parameters()), "lr": lr}]

    def on_step(
        self, backbone: Backbone, head: nn.Module, progress: float, *, optimizer: Optimizer | None = None
    ) -> None:
        """Freeze the backbone until the probe is trained."""
        backbone.requires_grad_(progress >= self.probe)
