"""No sharing: single-task learning."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from tlzoo.nn.maps import at_positions
from tlzoo.nn.named_modules import NamedModules
from tlzoo.nn.network import bottleneck_layer
from tlzoo.nn.sharing.base import Sharing
from tlzoo.types import Backbone

__all__ = ["NoSharing"]


class NoSharing(Sharing):
    """A separate backbone for each task: single-task learning, with all tasks trained side by side.

    With equal weights, no parameter is trained by two tasks, so the result is that of a separate run for each task.

    Args:
        backbone: copied for each task; all copies start from its weights.
        tasks: names of the tasks.
        bottleneck: width of a layer behind each copy; None for no layer.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[str], *, bottleneck: int | None = None) -> None:
        super().__init__(backbone, tasks)
        self.backbones = NamedModules({task: copy.deepcopy(backbone) for task in tasks})
        layers = {task: bottleneck_layer(backbone.num_features, bottleneck) for task in tasks}
        self.bottlenecks = NamedModules({task: layer for task, (layer, _) in layers.items()})
        self.num_features = next(iter(layers.values()))[1]

    def shared(self, inputs: Any) -> Any:
        """Return the raw inputs."""
        return inputs

    def private(self, shared: Any, task: str) -> Tensor:
        """Run the task's own network."""
        backbone = self.backbones[task]
        assert isinstance(backbone, Backbone)
        return at_positions(self.bottlenecks[task], backbone(backbone.preprocess(shared)))

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return nothing."""
        return []

    def pretrained(self) -> nn.Module:
        """Return the backbones."""
        return self.backbones
