"""Multitask learning by merging: weights before and after fine-tuning on each task."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.methods.conformance.scenario import SHAPE, Inputs, Subject, normal, require_shape
from tlzoo.methods.conformance.weighting import WeightingScenario
from tlzoo.methods.merging import TaskNetworks
from tlzoo.nn.task_heads import ClassHead

__all__ = ["MergingScenario"]

_T = SHAPE["num_tasks"]


class MergingScenario(WeightingScenario):
    """Three task losses, and the weights of networks from one start."""

    def inputs(self, *, seed: int = 1, dtype: torch.dtype = torch.float64, fit: bool = False) -> Inputs:
        """Return losses, the weights (2, 4) at the start, and those (T, 2, 4) of each task."""
        generator = torch.Generator().manual_seed(seed)
        start = normal(generator, 2, 4, dtype=dtype)
        states = start + 0.1 * normal(generator, _T, 2, 4, dtype=dtype)
        return {**super().inputs(seed=seed, dtype=dtype, fit=fit), "start": start, "states": states}

    def make_ready(self, subject: Subject, inputs: Inputs) -> None:
        """Let the method look at linear networks and 12 inputs."""
        if not subject.method.looks_at_data:
            return
        generator = torch.Generator().manual_seed(2)
        shown = normal(generator, 12, 4, dtype=inputs["start"].dtype)
        start, *bodies = (_linear(weights) for weights in (inputs["start"], *inputs["states"]))
        heads = [ClassHead(2, SHAPE["num_classes"]).to(shown) for _ in bodies]
        for head in heads:
            for weights in head.parameters():
                weights.data = normal(generator, *weights.shape, dtype=shown.dtype)
        subject.method.fit(
            TaskNetworks(start=start, bodies=bodies, heads=heads, size=len(shown), inputs=lambda places: shown[places])
        )

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the weighted total and the squared length of the merged weights."""
        states = [{"weight": state} for state in inputs["states"]]
        merged: Tensor = subject.method.merged({"weight": inputs["start"]}, states)["weight"]
        require_shape(self, merged, tuple(inputs["start"].shape))
        return super().loss(subject, inputs) + merged.square().sum()

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return the losses and the weights of the tasks."""
        return [inputs["losses"], inputs["states"]]

    def hard(self) -> dict[str, Inputs]:
        """Return extreme losses, and networks that did not move."""
        usual = self.inputs()
        still = usual | {"states": usual["start"].expand_as(usual["states"]).clone()}
        return {**super().hard(), "networks that did not move": still}

    def invalid(self) -> dict[str, Inputs]:
        """Return more networks than tasks."""
        usual = self.inputs()
        more = torch.cat([usual["states"], usual["states"][:1]])
        few = {name: usual | some for name, some in super().invalid().items()}
        return {**few, "one network too many": usual | {"states": more}}


def _linear(weights: Tensor) -> nn.Module:
    layer = nn.Linear(weights.shape[1], weights.shape[0], bias=False).to(weights)
    layer.weight.data = weights.clone()
    return layer
