"""The common part of mixtures of experts: a backbone, experts on its features, and a gate for each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.nn.maps import at_positions, pooled
from tlzoo.nn.sharing.base import Sharing
from tlzoo.types import Backbone

__all__ = ["ExpertSharing", "mixed"]


def make_expert(inputs: int, width: int) -> nn.Module:
    """Return a linear layer and ReLU."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU())


def mixed(weights: Tensor, experts: Tensor) -> Tensor:
    """Return the sum of experts (B, K, W, ...) with weights (B, K): (B, W, ...)."""
    return torch.einsum("bk,bk...->b...", weights, experts)


class ExpertSharing(Sharing):
    """Base: a shared backbone, K shared experts on its features, and a gate for each task.

    Backbone and experts are shared, gates are private. On feature maps, experts work at every position, and gates use
    the mean over positions.

    Args:
        backbone: the shared network below the experts.
        tasks: names of the tasks.
        experts: K.
        width: W of each expert's output.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[str], *, experts: int = 3, width: int = 256) -> None:
        super().__init__(backbone, tasks)
        if experts < 1 or width < 1:
            raise ValueError(f"{experts} experts of width {width}; expected at least one of each")
        self.backbone, self.num_features = backbone, width
        self.experts = nn.ModuleList(make_expert(backbone.num_features, width) for _ in range(experts))

    def shared(self, inputs: Any) -> tuple[Tensor, ...]:
        """Return the features (B, D) for the gates, and the experts' outputs (B, K, W), or (B, K, W, ...) for maps."""
        features = self.backbone(self.backbone.preprocess(inputs))
        return pooled(features), torch.stack([at_positions(expert, features) for expert in self.experts], dim=1)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of backbone and experts."""
        return [*self.backbone.parameters(), *self.experts.parameters()]

    def pretrained(self) -> nn.Module:
        """Return the backbone."""
        return self.backbone
