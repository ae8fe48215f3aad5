"""T3A: classify by templates, the means of the most certain test features of each class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional import entropy
from tlzoo.functional.checks import check_counts
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.test_time import TestTime
from tlzoo.nn.memory_bank import Memory
from tlzoo.paper import Paper

__all__ = ["T3A"]


class T3A(TestTime):
    """Test-time template adjuster (Iwasawa & Matsuo, NeurIPS 2021), https://openreview.net/forum?id=e_yvNqkJKAW.

    Each class keeps a set of normalized features, which starts with its row of the head's weights. A batch is added
    under its predicted classes, and each class keeps the ``keep`` entries of lowest entropy. The scores are the inner
    products of the batch with the normalized sums of the sets. No gradient is needed.

    Args:
        model: the source model, with a linear ``head``; copied.
        keep: number of entries per class; None keeps all.
    """

    paper = Paper(
        title="Test-Time Classifier Adjustment Module for Model-Agnostic Domain Generalization",
        authors=("Iwasawa", "Matsuo"),
        venue="NeurIPS",
        year=2021,
        page="https://openreview.net/forum?id=e_yvNqkJKAW",
    )
    variants = ({}, {"keep": 2}, {"keep": None})

    def __init__(self, model: nn.Module, *, keep: int | None = 100) -> None:
        super().__init__(model)
        check_counts(keep=1 if keep is None else keep)
        if not isinstance(getattr(self.model, "head", None), nn.Linear):
            raise TypeError("t3a starts from the weights of a linear head; give a tlzoo.nn.network.Network with one")
        self.keep = keep
        classes = torch.zeros(0, dtype=torch.long)
        self.memory = Memory(features=torch.zeros(0), classes=classes, entropies=torch.zeros(0))
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Start again from the rows of the head's weights."""
        super().reset()
        head: Any = self.model.head
        self.memory.features = F.normalize(at_least_float32(head.weight), dim=1)
        answers = head(head.weight)
        self.memory.classes, self.memory.entropies = answers.argmax(dim=1), entropy(answers)

    def adapt(self, inputs: Any) -> Tensor:
        """Return scores (B, C) after adding the batch."""
        prediction = self.predict(inputs)
        self._add(prediction.features, prediction.logits)
        features, classes = self.memory.get_buffer("features"), self.memory.get_buffer("classes")
        members = F.one_hot(classes, prediction.logits.shape[1]).to(features)
        return prediction.features.to(features) @ F.normalize(members.T @ features, dim=1).T

    def _add(self, features: Tensor, logits: Tensor) -> None:
        stored = [self.memory.get_buffer(name) for name in ("features", "classes", "entropies")]
        fresh = F.normalize(at_least_float32(features), dim=1), logits.argmax(dim=1), entropy(logits)
        points, classes, entropies = (torch.cat(pair) for pair in zip(stored, fresh, strict=True))
        if self.keep is not None:
            order = entropies.argsort(stable=True)
            places = [order[classes[order] == c][: self.keep] for c in range(logits.shape[1])]
            kept = torch.cat(places)
            points, classes, entropies = points[kept], classes[kept], entropies[kept]
        self.memory.features, self.memory.classes, self.memory.entropies = points, classes, entropies
