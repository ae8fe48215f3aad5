"""Linear probe: freeze the pretrained network and train a linear head."""

from __future__ import annotations

from tlzoo.methods.strategy import Strategy
from tlzoo.types import Backbone

__all__ = ["LinearProbe"]


class LinearProbe(Strategy):
    """A frozen backbone, whose normalization keeps its pretrained statistics, under a trained linear head."""

    def prepare(self, backbone: Backbone) -> Backbone:
        """Freeze ``backbone`` in place and return it."""
        backbone.freeze()
        return backbone
