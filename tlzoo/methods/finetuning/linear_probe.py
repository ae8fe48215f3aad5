"""Linear probe: the pretrained network frozen, a linear head trained."""

from __future__ import annotations

from tlzoo.methods.strategy import Strategy
from tlzoo.types import Backbone

__all__ = ["LinearProbe"]


class LinearProbe(Strategy):
    """Freezes the whole backbone; its normalization keeps the statistics of pretraining."""

    def prepare(self, backbone: Backbone) -> Backbone:
        """Freeze ``backbone`` in place and return it."""
        backbone.freeze()
        return backbone
