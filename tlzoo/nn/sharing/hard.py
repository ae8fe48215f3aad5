"""One network for all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from tlzoo.nn.maps import at_positions
from tlzoo.nn.network import bottleneck_layer
from tlzoo.nn.sharing.base import Sharing
from tlzoo.types import Backbone

__all__ = ["HardSharing"]


class HardSharing(Sharing):
    """One backbone for all tasks (Caruana, Machine Learning 1997), https://doi.org/10.1023/A:1007379606734.

    Args:
        backbone: the shared network.
        tasks: names of the tasks.
        bottleneck: width of a shared layer (linear, batch normalization, ReLU) behind it; None for no layer. With a
            frozen backbone, nothing else is shared.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[str], *, bottleneck: int | None = None) -> None:
        super().__init__(backbone, tasks)
        self.backbone = backbone
        self.bottleneck, self.num_features = bottleneck_layer(backbone.num_features, bottleneck)

    def shared(self, inputs: Any) -> Tensor:
        """Run the network once; every task gets the same features."""
        return at_positions(self.bottleneck, self.backbone(self.backbone.preprocess(inputs)))

    def pretrained(self) -> nn.Module:
        """Return the backbone."""
        return self.backbone
