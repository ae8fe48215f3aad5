"""Gradual unfreezing: from the head down, one group of layers after the other."""

from __future__ import annotations

from typing import Any

from tlzoo.methods.strategy import Strategy
from tlzoo.paper import Paper
from tlzoo.types import Backbone

__all__ = ["GradualUnfreezing"]


class GradualUnfreezing(Strategy):
    """Gradual unfreezing (Howard & Ruder, ACL 2018), https://arxiv.org/abs/1801.06146.

    The head trains alone first; then one more group of layers is released at equal shares of training, from the last
    to the stem, so that all train in the last share.

    Differs from the paper: a share of training stands in place of an epoch, since budgets here are steps.
    """

    label = "gradual unfreezing"
    paper = Paper(
        title="Universal Language Model Fine-tuning for Text Classification",
        authors=("Howard", "Ruder"),
        venue="ACL",
        year=2018,
        arxiv="1801.06146",
    )

    def parameter_groups(self, backbone: Backbone, *, lr: float) -> list[dict[str, Any]]:
        """Return one group of all parameters, the frozen ones too: they are released later."""
        return [{"params": list(backbone.parameters()), "lr": lr}]

    def on_progress(self, backbone: Backbone, progress: float) -> None:
        """Release floor(progress * (groups + 1)) groups, counted from the last."""
        names = [group.name for group in backbone.layer_groups()]
        released = min(int(progress * (len(names) + 1)), len(names))
        backbone.requires_grad_(True)
        if released < len(names):
            backbone.freeze(until=names[len(names) - released - 1])
