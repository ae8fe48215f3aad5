"""Layer-wise learning rates: the nearer to the stem, the smaller."""

from __future__ import annotations

from typing import Any

from tlzoo.backbones import layerwise_groups
from tlzoo.methods.base import Strategy
from tlzoo.paper import Paper
from tlzoo.types import Backbone

__all__ = ["Layerwise"]


class Layerwise(Strategy):
    """Discriminative fine-tuning (Howard & Ruder, ACL 2018), https://arxiv.org/abs/1801.06146.

    The group of layers at depth k below the head trains at lr * decay^k.

    Args:
        decay: factor from one group to the one below; the paper divides by 2.6.
    """

    label = "layer-wise rates"
    paper = Paper(
        title="Universal Language Model Fine-tuning for Text Classification",
        authors=("Howard", "Ruder"),
        venue="ACL",
        year=2018,
        arxiv="1801.06146",
    )

    def __init__(self, *, decay: float = 1 / 2.6) -> None:
        super().__init__()
        if not 0 < decay <= 1:
            raise ValueError(f"decay {decay}; expected a number in (0, 1]")
        self.decay = decay

    def parameter_groups(self, backbone: Backbone, *, lr: float) -> list[dict[str, Any]]:
        """Return one optimizer group a group of layers."""
        return layerwise_groups(backbone, lr=lr, decay=self.decay)
