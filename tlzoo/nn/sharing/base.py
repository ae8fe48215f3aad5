"""What several tasks share of a network, in two parts: the shared one, and what each task has of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from tlzoo.types import Backbone

__all__ = ["Sharing", "composed_groups"]


class Sharing(nn.Module):
    """Base: raw inputs in, features for each task out.

    A forward pass is :meth:`shared`, once, then :meth:`private`, once a task. What comes out of the first is where the
    gradients of the tasks meet: weightings of gradients act on what lies before, and every task trains what lies behind
    by its own loss.

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
        """Map raw inputs (B, ...) to what the tasks share: a tensor, or a tuple of tensors."""
        raise NotImplementedError

    def private(self, shared: Any, task: str) -> Tensor:
        """Map what is shared to features (B, D) of a task."""
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
    """Return the layer groups of a backbone as modules; run one after the other they are its ``forward``.

    Raises:
        ValueError: the backbone does not declare that it is such a composition.
    """
    if not backbone.composable:
        raise ValueError(
            f"{by} goes into the backbone between its layer groups, and {backbone.name} is no composition of them; use "
            "one that is composable, such as lenet, resnet12 or mlp"
        )
    return [nn.Sequential(*group.modules) for group in backbone.layer_groups()]
