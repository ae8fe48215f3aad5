"""What several tasks share of a network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from tlzoo.types import Backbone

__all__ = ["HardSharing", "NoSharing", "Sharing"]


class Sharing(nn.Module):
    """Base: one backbone in, features for each task out.

    Attributes:
        num_features: D, the same for every task.
    """

    num_features: int

    def forward(self, inputs: Any) -> Mapping[str, Tensor]:
        """Map raw inputs (B, ...) to features (B, D) by task."""
        raise NotImplementedError


class HardSharing(Sharing):
    """One backbone for all tasks (Caruana, Machine Learning 1997), https://doi.org/10.1023/A:1007379606734.

    Args:
        backbone: the shared network.
        tasks: names of the tasks.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[str]) -> None:
        super().__init__()
        self.backbone, self.tasks, self.num_features = backbone, tuple(tasks), backbone.num_features

    def forward(self, inputs: Any) -> Mapping[str, Tensor]:
        """Run the backbone once; every task gets the same features."""
        features = self.backbone(self.backbone.preprocess(inputs))
        return dict.fromkeys(self.tasks, features)


class NoSharing(Sharing):
    """A backbone of its own for each task: single-task learning, all tasks trained side by side.

    With equal weights no parameter sees two tasks, so the result is that of one run a task.

    Args:
        backbone: copied for each task; all copies start from its weights.
        tasks: names of the tasks.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[str]) -> None:
        super().__init__()
        self.backbones = nn.ModuleDict({task: copy.deepcopy(backbone) for task in tasks})
        self.num_features = backbone.num_features

    def forward(self, inputs: Any) -> Mapping[str, Tensor]:
        """Run every task's own backbone."""
        features = {}
        for task, backbone in self.backbones.items():
            assert isinstance(backbone, Backbone)
            features[task] = backbone(backbone.preprocess(inputs))
        return features
