"""One-shot learning: episodes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from tlzoo.methods.conformance.scenario import SHAPE, Inputs, Scenario, Subject, normal, reordered, require_shape
from tlzoo.types import Sees

__all__ = ["EpisodeScenario"]

_D, _C = SHAPE["num_features"], SHAPE["num_classes"]


class EpisodeScenario(Scenario):
    """Two 3-way 2-shot episodes, and a base set."""

    watched: ClassVar[Mapping[str, str]] = {
        "support": "support (episode 1)",
        "query": "query (episode 1)",
        "base.features": "base features (row 1)",
    }

    def make_ready(self, subject: Subject, inputs: Inputs) -> None:
        """Show it the base set if it declares one."""
        if Sees.SOURCE_INPUTS in self.cls.sees:
            labels = inputs["base.labels"] if Sees.SOURCE_LABELS in self.cls.sees else None
            subject.method.fit_base(inputs["base.features"], labels)

    def inputs(
        self,
        *,
        seed: int = 1,
        dtype: torch.dtype = torch.float64,
        fit: bool = False,
        way: int = _C,
        shot: int = 2,
        queries: int = 5,
    ) -> Inputs:
        """Return two episodes."""
        generator = torch.Generator().manual_seed(seed)
        base = {"base.features": normal(generator, 9, _D, dtype=dtype) + 1, "base.labels": torch.arange(9) % _C}
        made = {
            "support": normal(generator, 2, way * shot, _D, dtype=dtype) + 1,
            "support_labels": torch.arange(way).repeat(2, shot),
            "query": normal(generator, 2, queries, _D, dtype=dtype) + 1,
            "query_labels": (torch.arange(queries) % way).repeat(2, 1),
            "way": torch.tensor(way),
        }
        return made | base if fit else made

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the loss of the queries."""
        if "base.features" in inputs:
            subject = copy.deepcopy(subject)
            self.make_ready(subject, inputs)
        way = int(inputs["way"])
        logits = subject.method(inputs["support"], inputs["support_labels"], inputs["query"], way=way)
        require_shape(self, logits, (*inputs["query"].shape[:2], way))
        loss: Tensor = subject.method.loss(logits, inputs["query_labels"])
        return loss

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return support and query."""
        return [inputs["support"], inputs["query"]]

    def permuted(self, inputs: Inputs) -> Inputs:
        """Return items and episodes in another order."""
        within = reordered(inputs, {"support": 1, "support_labels": 1, "query": 1, "query_labels": 1})
        episodes = ("support", "support_labels", "query", "query_labels", "base.features", "base.labels")
        return reordered(within, dict.fromkeys(episodes, 0))

    def hard(self) -> dict[str, Inputs]:
        """Return small and constant episodes."""
        usual = self.inputs()
        alike = {name: torch.ones_like(usual[name]) for name in ("support", "query")}
        unequal = usual | {"support_labels": torch.tensor([[0, 0, 0, 0, 1, 2]] * 2)}
        return {
            "one shot, one query": self.inputs(shot=1, queries=1),
            "one class": self.inputs(way=1),
            "unequal shots": unequal,
            "features that coincide": usual | alike,
            "features of zeros": usual | {name: 0 * value for name, value in alike.items()},
            "a base set of one": usual
            | {"base.features": torch.ones(1, _D).double(), "base.labels": torch.zeros(1).long()},
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
