"""One-shot learning through the network: episodes of inputs, and a small network that adapts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from tlzoo.methods.base import Method
from tlzoo.methods.conformance.scenario import SHAPE, Inputs, Scenario, Subject, normal, reordered, require_shape

__all__ = ["MetaScenario"]

_D, _C = SHAPE["num_features"], SHAPE["num_classes"]


class MetaScenario(Scenario):
    """Two 3-way 2-shot episodes, and a network of two layers, the last of which is the head."""

    watched: ClassVar[Mapping[str, str]] = {"support": "episode 1", "query": "episode 1"}

    def assemble(self, method: Method) -> Subject:
        """Give the method a smooth network whose normalization uses the batch."""
        backbone = nn.Sequential(nn.Linear(_D, 6), nn.BatchNorm1d(6, track_running_stats=False, eps=0.1), nn.Tanh())
        model = nn.Sequential(OrderedDict(backbone=backbone, head=nn.Linear(6, _C)))
        subject = Subject(method, model=model)
        subject.method.prepare(model)
        return subject

    def inputs(
        self, *, seed: int = 1, dtype: torch.dtype = torch.float64, fit: bool = False, shot: int = 2, queries: int = 5
    ) -> Inputs:
        """Return two episodes."""
        generator = torch.Generator().manual_seed(seed)
        return {
            "support": normal(generator, 2, _C * shot, _D, dtype=dtype),
            "support_labels": torch.arange(_C).repeat(2, shot),
            "query": normal(generator, 2, queries, _D, dtype=dtype),
            "query_labels": (torch.arange(queries) % _C).repeat(2, 1),
        }

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the sum of the training objective and the loss of the predictions."""
        model, support, labels = subject.networks["model"], inputs["support"], inputs["support_labels"]
        logits = subject.method(model, support, labels, inputs["query"], way=_C)
        require_shape(self, logits, (*inputs["query"].shape[:2], _C))
        objective: Tensor = subject.method.objective(
            model, support, labels, inputs["query"], inputs["query_labels"], way=_C
        )
        loss: Tensor = objective + subject.method.loss(logits, inputs["query_labels"])
        return loss

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return the network's parameters."""
        return list(subject.networks["model"].parameters())

    def permuted(self, inputs: Inputs) -> Inputs:
        """Return items and episodes in another order."""
        within = reordered(inputs, {"support": 1, "support_labels": 1, "query": 1, "query_labels": 1})
        return reordered(within, dict.fromkeys(within, 0))

    def hard(self) -> dict[str, Inputs]:
        """Return small and constant episodes."""
        usual = self.inputs()
        alike = {name: torch.ones_like(usual[name]) for name in ("support", "query")}
        unequal = usual | {"support_labels": torch.tensor([[0, 0, 0, 0, 1, 2]] * 2)}
        return {
            "one shot, one query": self.inputs(shot=1, queries=1),
            "unequal shots": unequal,
            "inputs that coincide": usual | alike,
            "inputs of zeros": usual | {name: 0 * value for name, value in alike.items()},
        }

    def invalid(self) -> dict[str, Inputs]:
        """Return episodes whose parts do not match."""
        usual = self.inputs()
        labels = usual["support_labels"]
        return {
            "a class without support": usual | {"support_labels": labels.clamp_max(_C - 2)},
            "a label outside of range(way)": usual | {"support_labels": labels + 1},
            "queries of another width": usual | {"query": torch.ones(2, 5, _D + 1).double()},
            "another number of query episodes": usual | {"query": torch.ones(3, 5, _D).double()},
        }
