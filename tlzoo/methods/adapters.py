"""Strategies that add adapters to the layers of a frozen network, through peft."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from torch import nn

from tlzoo.methods.strategy import Strategy
from tlzoo.types import Backbone

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["AdapterStrategy"]


class AdapterStrategy(Strategy):
    """Freezes a network and trains small adapters of its layers; a subclass names the adapter.

    Attributes:
        prefix: what the names of an adapter's parameters contain.
        adapts: kinds of layers that can carry one; grouped convolutions never can.
    """

    implements: ClassVar[str] = "config(pattern)"
    prefix: ClassVar[str]
    adapts: ClassVar[tuple[type[nn.Module], ...]] = (nn.Linear, nn.Conv2d)

    def config(self, pattern: str) -> PeftConfig:
        """Return peft's configuration for the layers whose full names match ``pattern``."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    def carries(self, layer: nn.Module) -> bool:
        """Return whether a layer gets an adapter."""
        return isinstance(layer, self.adapts) and getattr(layer, "groups", 1) == 1

    def prepare(self, backbone: Backbone) -> Backbone:
        """Add adapters to ``backbone`` in place, freeze everything else, and return it.

        Raises:
            ValueError: no layer can carry an adapter.
        """
        names = [name for name, layer in backbone.named_modules() if self.carries(layer)]
        if not names:
            which = "linear layer and no ungrouped convolution" if nn.Conv2d in self.adapts else "linear layer"
            raise ValueError(f"{backbone.name} has no {which} to adapt")
        # a pattern matches whole names; a list of names would also match the ends of other names
        self.insert(self.config("|".join(map(re.escape, names))), backbone)
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(self.prefix in name)
        return backbone

    def insert(self, config: PeftConfig, backbone: Backbone) -> None:
        """Add the adapters to ``backbone`` in place."""
        from peft import inject_adapter_in_model  # imports transformers: seconds, only where used

        inject_adapter_in_model(config, backbone)
