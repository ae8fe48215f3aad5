"""From scratch: discard the pretrained weights; the lower baseline of fine-tuning."""

from __future__ import annotations

from tlzoo.methods.strategy import Strategy
from tlzoo.types import Backbone

__all__ = ["FromScratch"]


class FromScratch(Strategy):
    """Training from scratch: re-initializes every layer with its own default, then trains all of them."""

    keeps_pretraining = False

    def prepare(self, backbone: Backbone) -> Backbone:
        """Re-initialize ``backbone`` in place and return it.

        Raises:
            ValueError: a parameter belongs to a layer that cannot re-initialize itself.
        """
        fresh: set[int] = set()
        for module in backbone.modules():
            for reset in ("reset_parameters", "_reset_parameters"):
                if hasattr(module, reset):
                    getattr(module, reset)()
                    # only its own parameters: the layers inside it have their turn
                    fresh.update(id(parameter) for parameter in module.parameters(recurse=False))
        stale = [name for name, parameter in backbone.named_parameters() if id(parameter) not in fresh]
        if stale:
            raise ValueError(
                f"{backbone.name}: cannot re-initialize {', '.join(stale[:3])}; create it with pretrained=False instead"
            )
        return backbone
