"""Layer-wise learning rates, smaller toward the stem."""

from __future__ import annotations

from typing import Any

from tlzoo.backbones import layerwise_groups
from tlzoo.functional.checks import check_shares
from tlzoo.methods.finetuning.gradual_unfreezing import GradualUnfreezing
from tlzoo.methods.strategy import Strategy
from tlzoo.types import Backbone

__all__ = ["Layerwise"]


class Layerwise(Strategy):
    r"""Discriminative fine-tuning (Howard & Ruder, ACL 2018), https://arxiv.org/abs/1801.06146.

    The group of layers at depth k below the head trains at the rate

    .. math:: \eta_k = \eta \, d^k

    Args:
        decay: d, the factor from one group to the next; the paper divides by 2.6.
    """

    label = "layer-wise rates"
    paper = GradualUnfreezing.paper

    def __init__(self, *, decay: float = 1 / 2.6) -> None:
        super().__init__()
        check_shares(above_zero=True, decay=decay)
        self.decay = decay

    def parameter_groups(self, backbone: Backbone, *, lr: float) -> list[dict[str, Any]]:
        """Return one optimizer group per group of layers."""
        return layerwise_groups(backbone, lr=lr, decay=self.decay)
