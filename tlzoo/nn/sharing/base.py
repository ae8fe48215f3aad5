"""The interface of shared networks: a shared part, and a private part of each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from tlzoo.types import Backbone

__all__ = ["Sharing", "composed_groups"]


class Sharing(nn.Module):
    """Base: maps raw inputs to features for each task.

    A forward pass calls :meth:`shared` once and then :meth:`private` for each task. The gradients of the tasks meet at
    the output of :meth:`shared`: gradient weightings act on the parameters before it, and each task trains the
    parameters behind it with its own loss.

    Args:
        backbone: the network.
        tasks: names of the tasks.

    Attributes:
        num_features: D, the same for every task.
    """

    num_features: int

    def __init__(self, backbone: Backbone, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks, self.num_features = tuple(tasks), backbone.num_features

    def shared(self, inputs: Any) -> Any:
        """Map raw inputs (B, ...) to the shared output: a tensor, or a tuple of tensors."""
        raise NotImplementedError

    def private(self, shared: Any, task: str) -> Tensor:
        """Map the shared output to features (B, D) of a task."""
        return shared  # type: ignore[no-any-return]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of :meth:`shared`."""
        return list(self.parameters())

    def pretrained(self) -> nn.Module:
        """Return the part that comes from the backbone."""
        return self

    def forward(self, inputs: Any) -> Mapping[str, Tensor]:
        """Map raw inputs (B, ...) to features (B, D) by task."""
        shared = self.shared(inputs)
        return {task: self.private(shared, task) for task in self.tasks}


def composed_groups(backbone: Backbone, *, by: str) -> list[nn.Module]:
    """Return the layer groups of a backbone, whose composition is its ``forward``.

    Raises:
        ValueError: the backbone does not declare that it is composable.
    """
    if not backbone.composable:
        raise ValueError(
            f"{by} needs access between the layer groups of the backbone, which {backbone.name} does not offer; use a "
            "composable backbone, such as lenet, resnet12 or mlp"
        )
    return [nn.Sequential(*group.modules) for group in backbone.layer_groups()]
