"""Multi-gate mixture of experts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tlzoo.nn.named_modules import NamedModules
from tlzoo.nn.sharing.experts import ExpertSharing, mixed
from tlzoo.types import Backbone

__all__ = ["MMoE"]


class MMoE(ExpertSharing):
    """Multi-gate mixture of experts (Ma et al., KDD 2018), https://doi.org/10.1145/3219819.3220007.

    The features of a task are a mixture of shared experts; the weights are the softmax of the task's own linear gate.

    Args:
        backbone: the shared network below the experts.
        tasks: names of the tasks.
        experts: K.
        width: W of each expert's output, and of the features.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[str], *, experts: int = 3, width: int = 256) -> None:
        super().__init__(backbone, tasks, experts=experts, width=width)
        self.gates = NamedModules({task: nn.Linear(backbone.num_features, experts) for task in self.tasks})

    def private(self, shared: tuple[Tensor, ...], task: str) -> Tensor:
        """Mix the experts."""
        features, experts = shared
        return mixed(self.gates[task](features).softmax(dim=1), experts)
