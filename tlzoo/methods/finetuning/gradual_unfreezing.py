"""Gradual unfreezing: one group of layers after the other, from the head down."""

from __future__ import annotations

from typing import Any

from tlzoo.methods.strategy import Strategy
from tlzoo.paper import Paper
from tlzoo.types import Backbone

__all__ = ["GradualUnfreezing"]


class GradualUnfreezing(Strategy):
    """Gradual unfreezing (Howard & Ruder, ACL 2018), https://arxiv.org/abs/1801.06146.

    The head trains alone first. Then one more group of layers starts to train at each equal share of training, from the
    last group to the stem, so that all groups train in the last share.

    Differs from the paper: shares of training replace epochs, because budgets here are steps.
    """

    label = "gradual unfreezing"
    paper = Paper(
        title="Universal Language Model Fine-tuning for Text Classification",
        authors=("Howard", "Ruder"),
        venue="ACL",
        year=2018,
        arxiv="1801.06146",
    )
    unfreezes = True

    def parameter_groups(self, backbone: Backbone, *, lr: float) -> list[dict[str, Any]]:
        """Return one group of all parameters, including the frozen ones, which train later."""
        return [{"params": list(backbone.parameters()), "lr": lr}]

    def on_progress(self, backbone: Backbone, progress: float) -> None:
        """Unfreeze floor(progress * (groups + 1)) groups, counted from the last."""
        names = [group.name for group in backbone.layer_groups()]
        released = min(int(progress * (len(names) + 1)), len(names))
        backbone.requires_grad_(True)
        if released < len(names):
            backbone.freeze(until=names[len(names) - released - 1])
