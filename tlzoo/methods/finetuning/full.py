"""Full fine-tuning: all parameters train, starting from the pretrained weights."""

from __future__ import annotations

from tlzoo.methods.strategy import Strategy

__all__ = ["Full"]


class Full(Strategy):
    """All parameters train at the backbone's learning rate."""
