"""Customized gate control and progressive layered extraction: shared and private experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.nn.maps import at_positions, pooled
from tlzoo.nn.named_modules import NamedModules
from tlzoo.nn.sharing.base import Sharing
from tlzoo.nn.sharing.experts import make_expert, mixed
from tlzoo.types import Backbone

__all__ = ["CGC", "PLE"]

_SHARED = ""


class _Level(nn.Module):
    """One level: the experts of each group (a task's, or the shared group), and the gates whose mixtures go on.

    Args:
        inputs: width of the inputs.
        width: width of the outputs.
        tasks: names of the tasks.
        experts: number of experts per group.
        gated: groups whose mixtures go on.
    """

    def __init__(self, inputs: int, width: int, tasks: Sequence[str], experts: int, gated: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.experts = NamedModules(
            {
                _key(group): nn.ModuleList(make_expert(inputs, width) for _ in range(experts))
                for group in (_SHARED, *tasks)
            }
        )
        sizes = {group: experts * (len(tasks) + 1 if group == _SHARED else 2) for group in gated}
        self.gates = NamedModules({_key(group): nn.Linear(inputs, size) for group, size in sizes.items()})

    def run(self, group: str, features: Tensor) -> Tensor:
        """Return the outputs (B, K, W, ...) of a group's experts."""
        experts = self.experts[_key(group)]
        assert isinstance(experts, nn.ModuleList)
        return torch.stack([at_positions(expert, features) for expert in experts], dim=1)

    def mix(self, group: str, features: Tensor, results: Mapping[str, Tensor]) -> Tensor:
        """Return the mixture (B, W, ...) of the experts that a group's gate sees: a task's own and the shared ones."""
        seen = list(results) if group == _SHARED else [group, _SHARED]
        weights = self.gates[_key(group)](pooled(features)).softmax(dim=1)
        return mixed(weights, torch.cat([results[name] for name in seen], dim=1))


def _key(group: str) -> str:
    # a task may be called "shared" as well
    return "shared" if group == _SHARED else f"task_{group}"


class PLE(Sharing):
    """Progressive layered extraction (Tang et al., RecSys 2020), https://doi.org/10.1145/3383313.3412236.

    At every level, each task has experts of its own besides the shared ones, and a gate over both. Below the last
    level, a shared gate combines all experts. The gates and private experts of the last level belong to single tasks;
    everything below reaches every task and is shared. On feature maps, experts work at every position, and gates use
    the mean over positions.

    Args:
        backbone: the shared network below.
        tasks: names of the tasks.
        levels: number of levels.
        experts: number of experts per group at each level.
        width: width of each expert's output, and of the features.
    """

    def __init__(
        self, backbone: Backbone, tasks: Sequence[str], *, levels: int = 2, experts: int = 2, width: int = 256
    ) -> None:
        super().__init__(backbone, tasks)
        if levels < 1 or experts < 1 or width < 1:
            raise ValueError(f"{levels} levels of {experts} experts of width {width}; expected at least one of each")
        self.backbone, self.num_features = backbone, width
        inputs = backbone.num_features
        self.lower = nn.ModuleList(
            _Level(width if place else inputs, width, self.tasks, experts, (_SHARED, *self.tasks))
            for place in range(levels - 1)
        )
        self.last = _Level(width if levels > 1 else inputs, width, self.tasks, experts, self.tasks)

    def shared(self, inputs: Any) -> tuple[Tensor, ...]:
        """Return the inputs of each group's experts at the last level, shared first, and the shared outputs."""
        features = self.backbone(self.backbone.preprocess(inputs))
        groups = (_SHARED, *self.tasks)
        streams = dict.fromkeys(groups, features)
        for level in self.lower:
            assert isinstance(level, _Level)
            results = {group: level.run(group, streams[group]) for group in groups}
            streams = {group: level.mix(group, streams[group], results) for group in groups}
        return self.last.run(_SHARED, streams[_SHARED]), *[streams[task] for task in self.tasks]

    def private(self, shared: tuple[Tensor, ...], task: str) -> Tensor:
        """Run the task's experts and its gate."""
        features = shared[1 + self.tasks.index(task)]
        return self.last.mix(task, features, {task: self.last.run(task, features), _SHARED: shared[0]})

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return all parameters except the private gates and experts of the last level."""
        last = self.last.experts[_key(_SHARED)].parameters()
        return [*self.backbone.parameters(), *self.lower.parameters(), *last]

    def pretrained(self) -> nn.Module:
        """Return the backbone."""
        return self.backbone


class CGC(PLE):
    """Customized gate control (Tang et al., RecSys 2020), https://doi.org/10.1145/3383313.3412236: PLE of one level.

    Args:
        backbone: the shared network below.
        tasks: names of the tasks.
        experts: number of experts per group.
        width: width of each expert's output, and of the features.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[str], *, experts: int = 2, width: int = 256) -> None:
        super().__init__(backbone, tasks, levels=1, experts=experts, width=width)
