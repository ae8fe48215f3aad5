"""Cross-stitch networks: one network per task, with learned mixtures between their layers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.nn.sharing.base import Sharing, composed_groups
from tlzoo.types import Backbone

__all__ = ["CrossStitch"]


class CrossStitch(Sharing):
    """Cross-stitch units (Misra et al., CVPR 2016), https://arxiv.org/abs/1604.03539.

    Every task has a copy of the backbone. After each layer group, a learned matrix (T, T) mixes the activations of the
    copies linearly. All copies get the gradients of all tasks, so everything is shared.

    Differs from the paper: one mixture per layer group for all channels; the paper also allows one per channel.

    Args:
        backbone: a composition of its layer groups; all copies start from its weights.
        tasks: names of the tasks.
        own: initial share of a task's own activations in its mixture, in [0, 1]; the others share the rest.

    Raises:
        ValueError: the backbone is not composable.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[str], *, own: float = 0.9) -> None:
        super().__init__(backbone, tasks)
        if not 0 <= own <= 1:
            raise ValueError(f"own {own}; expected a number in [0, 1]")
        copies = [composed_groups(copy.deepcopy(backbone), by=type(self).__name__) for _ in self.tasks]
        self.preprocess = backbone.preprocess
        self.columns = nn.ModuleList(nn.ModuleList(groups) for groups in copies)
        size = len(self.tasks)
        others = (1 - own) / max(size - 1, 1)
        start = torch.full((size, size), others).fill_diagonal_(own if size > 1 else 1.0)
        self.stitches = nn.ParameterList(start.clone() for _ in copies[0])

    def shared(self, inputs: Any) -> tuple[Tensor, ...]:
        """Run all copies with mixing after each group, and return the features (B, D) of each task in order."""
        inputs = self.preprocess(inputs)
        streams = [inputs for _ in self.tasks]
        for place, stitch in enumerate(self.stitches):
            outputs = torch.stack([column[place](s) for column, s in zip(self.columns, streams, strict=True)])  # type: ignore[index]
            streams = list(torch.tensordot(stitch.to(outputs), outputs, dims=1))
        return tuple(streams)

    def private(self, shared: tuple[Tensor, ...], task: str) -> Tensor:
        """Return the features of a task."""
        return shared[self.tasks.index(task)]

    def pretrained(self) -> nn.Module:
        """Return the copies."""
        return self.columns
