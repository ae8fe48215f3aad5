"""One-shot learning: episodes whose classes have texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from tlzoo.methods.conformance.episodes import EpisodeScenario
from tlzoo.methods.conformance.scenario import SHAPE, Inputs, Subject, normal, require_shape

__all__ = ["ImageTextScenario"]

_D = SHAPE["num_features"]


class ImageTextScenario(EpisodeScenario):
    """Two 3-way 2-shot episodes, with texts of their classes and of one more."""

    watched: ClassVar[Mapping[str, str]] = {
        "support": "support (episode 1)",
        "query": "query (episode 1)",
        "class_embeddings": "class embeddings (episode 1)",
    }

    def make_ready(self, subject: Subject, inputs: Inputs) -> None:
        """Do nothing: there is no base set."""

    def inputs(
        self,
        *,
        seed: int = 1,
        dtype: torch.dtype = torch.float64,
        fit: bool = False,
        way: int = SHAPE["num_classes"],
        shot: int = 2,
        queries: int = 5,
    ) -> Inputs:
        """Return two episodes."""
        made = super().inputs(seed=seed, dtype=dtype, way=way, shot=shot, queries=queries)
        generator = torch.Generator().manual_seed(seed + 7)
        return made | {"class_embeddings": normal(generator, 2, way + 1, _D, dtype=dtype)}

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the loss of the queries."""
        names = ("support", "support_labels", "query", "class_embeddings")
        logits = subject.method(*(inputs[name] for name in names), way=int(inputs["way"]))
        require_shape(self, logits, (*inputs["query"].shape[:2], inputs["class_embeddings"].shape[1]))
        loss: Tensor = subject.method.loss(logits, inputs["query_labels"])
        return loss

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return support, queries and texts."""
        return [inputs["support"], inputs["query"], inputs["class_embeddings"]]

    def permuted(self, inputs: Inputs) -> Inputs:
        """Return items and episodes in another order; the order of classes stays, since labels count them."""
        moved = super().permuted(inputs)
        order = [int((inputs["query"].sum((1, 2)) == total).nonzero()) for total in moved["query"].sum((1, 2))]
        return moved | {"class_embeddings": inputs["class_embeddings"][order]}

    def hard(self) -> dict[str, Inputs]:
        """Return small and constant episodes."""
        cases = super().hard()
        cases.pop("a base set of one")
        usual = self.inputs()
        alike = torch.ones_like(usual["class_embeddings"])
        return {**cases, "texts that coincide": usual | {"class_embeddings": alike}}

    def invalid(self) -> dict[str, Inputs]:
        """Return episodes whose parts do not match."""
        usual = self.inputs()
        texts = usual["class_embeddings"]
        return {
            **super().invalid(),
            "a class without text": usual | {"class_embeddings": texts[:, :2]},
            "texts of another width": usual | {"class_embeddings": texts[..., :-1]},
            "texts of other episodes": usual | {"class_embeddings": texts[:1]},
        }
